"""Lists and objects in cells: strict inside, whatever the source."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.payload import as_object_array
from penstock.signature.casts import Casting, cast
from penstock.signature.types import AnyValue, ArrayOf, MapOf, ObjectOf, Property, Scalar, Type

FRAME = Casting.FRAME
B, I, L, D, S, BIN, T = (  # noqa: E741
    Scalar.BOOLEAN,
    Scalar.INTEGER,
    Scalar.LONG,
    Scalar.DOUBLE,
    Scalar.STRING,
    Scalar.BINARY,
    Scalar.DATETIME,
)
NAN = float("nan")


def read(cell: Any, type_: Type) -> Any:
    """One cell of a frame; raises ValueError with the reason of a misfit."""
    result = cast(as_object_array([cell]), type_, FRAME)
    if result.misfits:
        raise ValueError(result.misfits[0][1])
    return result.column[0]


LIST = ArrayOf(D)
OBJECT = ObjectOf((Property("k", L), Property("o", S, required=False)))


@pytest.mark.parametrize(
    ("type_", "cell", "expected"),
    [
        (LIST, [1.5, 2.5], [1.5, 2.5]),
        (LIST, [], []),
        (LIST, [1, 2.5], [1.0, 2.5]),  # one float makes floats of all, as in numpy
        (LIST, [0, 1], [0.0, 1.0]),
        (LIST, (1.5,), [1.5]),
        (LIST, np.array([1.5]), [1.5]),
        (ArrayOf(L), [1, 2], [1, 2]),
        (ArrayOf(S), ["a"], ["a"]),
        (ArrayOf(B), [True], [True]),
        (ArrayOf(BIN), ["YWI="], [b"ab"]),
        (ArrayOf(T), ["2026-01-02"], [np.datetime64("2026-01-02", "ns")]),
        (ArrayOf(ArrayOf(L)), [[1], []], [[1], []]),
        (ArrayOf(AnyValue()), [1, "x", None], [1, "x", None]),
        (MapOf(L), {"a": 1}, {"a": 1}),
        (MapOf(L), {}, {}),
        (OBJECT, {"k": 1}, {"k": 1}),
        (OBJECT, {"o": None, "k": 1}, {"k": 1, "o": None}),
        (AnyValue(), {"a": [None]}, {"a": [None]}),
        (AnyValue(), None, None),
    ],
)
def test_compound_cells_that_fit_are_cast(type_: Type, cell: Any, expected: Any) -> None:
    assert read(cell, type_) == expected


@pytest.mark.parametrize(
    ("type_", "cell", "why"),
    [
        (LIST, [1, 2], "item 0: 1 is not double"),  # MLflow refuses whole numbers alone
        (LIST, [1.5, None], "item 1"),
        (LIST, [1.5, "2"], "item 1"),
        (LIST, [True], "item 0"),
        (LIST, [10**400, 1.5], "out of range"),
        (LIST, 1.5, "not a list"),
        (LIST, "ab", "not a list"),
        (LIST, None, "not a list"),
        (ArrayOf(L), [1.0], "item 0"),
        (ArrayOf(L), [True], "item 0"),
        (ArrayOf(I), [2**31], "out of range"),
        (ArrayOf(B), [1], "item 0"),
        (ArrayOf(S), [1], "item 0"),
        (ArrayOf(ArrayOf(L)), [[1], 2], "item 1: 2 is not a list"),
        (ArrayOf(ArrayOf(L)), [[1], [1.5]], "item 1: item 0"),
        (MapOf(D), {"a": 2}, "key 'a'"),
        (MapOf(D), [1.5], "not an object"),
        (OBJECT, {}, "lacks 'k'"),
        (OBJECT, {"k": 1, "x": 2}, "unknown keys 'x'"),
        (OBJECT, {"k": 3.0}, "key 'k'"),
        (OBJECT, {"k": None}, "key 'k'"),
        (OBJECT, [1], "not an object"),
    ],
)
def test_compound_cells_that_do_not_fit_are_refused_with_a_reason(type_: Type, cell: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(cell, type_)


@pytest.mark.parametrize("type_", [LIST, OBJECT, MapOf(L)])
@pytest.mark.parametrize("nothing", [None, NAN])
def test_only_an_optional_compound_column_may_have_gaps(type_: Type, nothing: Any) -> None:
    good = {LIST: [1.5], OBJECT: {"k": 1}}.get(type_, {"k": 1})
    column = as_object_array([good, nothing])
    assert [row for row, _ in cast(column, type_, FRAME).misfits] == [1]
    assert cast(column, type_, FRAME, optional=True).column.tolist() == [good, None]


def test_lists_of_equal_length_stay_one_cell_each() -> None:
    column = cast(as_object_array([[1, 2], [3, 4]]), ArrayOf(L), FRAME).column
    assert column.shape == (2,)
    assert column[1] == [3, 4]
