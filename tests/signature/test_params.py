"""Inference parameters: defaults, unknown names, strict types."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from penstock.errors import SchemaViolation
from penstock.signature import ObjectOf, Param, Property, Scalar, conform_params

PARAMS = (
    Param("temperature", Scalar.DOUBLE, 0.5),
    Param("top_k", Scalar.LONG, 10),
    Param("stop", Scalar.STRING, ["."], (-1,)),
)


def one(scalar: Any, value: Any, shape: tuple[int, ...] | None = None) -> Any:
    conformed = conform_params((Param("p", scalar, None, shape),), {"p": value})
    assert conformed is not None
    return conformed["p"]


def test_defaults_are_filled_in_and_unknown_names_dropped() -> None:
    given = {"top_k": 3, "unheard_of": 1}
    assert conform_params(PARAMS, given) == {"temperature": 0.5, "top_k": 3, "stop": ["."]}


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_given_means_the_defaults(nothing: Any) -> None:
    assert conform_params(PARAMS, nothing) == {"temperature": 0.5, "top_k": 10, "stop": ["."]}


@pytest.mark.parametrize("given", [None, {}, {"a": 1}, 5, "text", [1]])
def test_a_model_without_params_gets_none_whatever_was_sent(given: Any) -> None:
    assert conform_params((), given) == (None if given is None else {})


@pytest.mark.parametrize("given", [5, "text", [1], True])
def test_params_must_be_an_object(given: Any) -> None:
    with pytest.raises(SchemaViolation, match="must be an object"):
        conform_params(PARAMS, given)


@pytest.mark.parametrize(
    ("scalar", "value", "expected"),
    [
        (Scalar.BOOLEAN, True, True),
        (Scalar.INTEGER, 7, 7),
        (Scalar.LONG, 7, 7),
        (Scalar.DOUBLE, 7, 7.0),
        (Scalar.FLOAT, 7, 7.0),
        (Scalar.DOUBLE, 1.5, 1.5),
        (Scalar.STRING, "", ""),
        (Scalar.DATETIME, "2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
        (Scalar.DATETIME, "2026-01-02T03:04:05.5Z", datetime(2026, 1, 2, 3, 4, 5, 500000)),
        (Scalar.DATETIME, "2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5)),
        (Scalar.DATETIME, "2026-01-02", date(2026, 1, 2)),
        *((scalar, None, None) for scalar in Scalar),
    ],
)
def test_values_that_fit_are_cast(scalar: Scalar, value: Any, expected: Any) -> None:
    got = one(scalar, value)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        (Scalar.BOOLEAN, 1),
        (Scalar.BOOLEAN, "true"),
        (Scalar.INTEGER, True),
        (Scalar.LONG, True),
        (Scalar.LONG, 1.0),
        (Scalar.LONG, "1"),
        (Scalar.DOUBLE, True),
        (Scalar.DOUBLE, "1.5"),
        (Scalar.DOUBLE, 10**400),
        (Scalar.STRING, 1),
        (Scalar.STRING, ["a"]),
        (Scalar.BINARY, "YQ=="),
        (Scalar.DATETIME, 5),
        (Scalar.DATETIME, "yesterday"),
        (Scalar.DATETIME, "03.04.2021"),
        (Scalar.DATETIME, "2026-01-02T03:04:05.123456789Z"),
    ],
)
def test_values_that_do_not_fit_are_refused(scalar: Scalar, value: Any) -> None:
    with pytest.raises(SchemaViolation, match="param 'p'"):
        one(scalar, value)


def test_lists_are_read_item_by_item() -> None:
    assert one(Scalar.DOUBLE, [1, 2.5, None], (-1,)) == [1.0, 2.5, None]
    assert one(Scalar.LONG, [], (-1,)) == []
    for bad in (None, 5, "ab", {"a": 1}, [1, "2"], [[1]]):
        with pytest.raises(SchemaViolation):
            one(Scalar.LONG, bad, (-1,))


def test_object_params_are_strict() -> None:
    shape = ObjectOf((Property("k", Scalar.LONG), Property("o", Scalar.STRING, required=False)))
    assert one(shape, {"k": 1}) == {"k": 1}
    for bad in ({}, {"k": 1.5}, {"k": 1, "x": 2}, 3):
        with pytest.raises(SchemaViolation):
            one(shape, bad)


def test_every_wrong_param_is_named() -> None:
    with pytest.raises(SchemaViolation) as caught:
        conform_params(PARAMS, {"temperature": "hot", "top_k": 1.5, "stop": "x"})
    assert [str(v).split("'")[1] for v in caught.value.violations] == ["temperature", "top_k", "stop"]


def test_the_default_list_is_never_shared() -> None:
    first, second = conform_params(PARAMS, None), conform_params(PARAMS, None)
    assert first is not None
    assert second is not None
    first["stop"].append("!")
    assert second["stop"] == ["."]
    assert conform_params(PARAMS, None) == second
