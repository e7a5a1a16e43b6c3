"""What breaks callers when one version takes another's place, and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.signature import ArrayOf, Field, Param, Scalar, Signature, TensorField, breaking_changes

A, B = Field("a", Scalar.LONG), Field("b", Scalar.DOUBLE)


def inputs(*fields: Any) -> Signature:
    return Signature(inputs=fields)


def outputs(*fields: Any) -> Signature:
    return Signature(outputs=fields)


def params(*given: Param) -> Signature:
    return Signature(params=given)


def tensor(dtype: str = "float32", shape: tuple[int, ...] = (-1, 4), name: str | None = None) -> TensorField:
    return TensorField(name, np.dtype(dtype), shape)


P = Param("p", Scalar.LONG, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, inputs(A)),
        (inputs(A), None),
        (Signature(), inputs(A)),
        (inputs(A), inputs(A)),
        (inputs(A, B), inputs(B, A)),
        (inputs(A, B), inputs(A)),  # extra columns are dropped
        (inputs(A), inputs(A, Field("c", Scalar.STRING, required=False))),
        (inputs(A), inputs(Field("a", Scalar.DOUBLE))),
        (inputs(Field("a", Scalar.INTEGER)), inputs(A)),
        (inputs(Field("a", Scalar.FLOAT)), inputs(Field("a", Scalar.DOUBLE))),
        (inputs(A), inputs(Field("a", Scalar.LONG, required=False))),
        (inputs(Field(None, Scalar.LONG)), inputs(Field(None, Scalar.DOUBLE))),
        (outputs(A), outputs(A, B)),
        (params(P), params(P, Param("q", Scalar.LONG, 2))),
        (params(P), params(Param("p", Scalar.DOUBLE, 2))),
        (inputs(tensor()), inputs(tensor())),
        (inputs(tensor(shape=(-1, 4))), inputs(tensor(shape=(-1, -1)))),
        (inputs(tensor("<U3")), inputs(tensor("U"))),
        (outputs(tensor(shape=(-1, -1))), outputs(tensor(shape=(-1, 4)))),
        (outputs(tensor(name="y")), outputs(tensor(name="y"), tensor(name="z"))),
    ],
)
def test_callers_can_go_on(old: Signature | None, new: Signature | None) -> None:
    assert breaking_changes(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (inputs(A), inputs(A, B), "new required input 'b'"),
        (inputs(Field("a", Scalar.DOUBLE)), inputs(A), "input 'a' changes from double to long"),
        (inputs(A), inputs(Field("a", Scalar.STRING)), "input 'a' changes from long to string"),
        (inputs(Field("a", Scalar.LONG, required=False)), inputs(A), "input 'a' becomes required"),
        (inputs(Field("a", ArrayOf(Scalar.LONG))), inputs(Field("a", ArrayOf(Scalar.STRING))), "array<string>"),
        (inputs(A), inputs(tensor()), "inputs change between columns and tensors"),
        (inputs(Field(None, Scalar.LONG)), inputs(*[Field(None, Scalar.LONG)] * 2), "from 1 to 2 columns"),
        (inputs(Field(None, Scalar.LONG)), inputs(A), "input columns gain their names"),
        (inputs(A), inputs(Field(None, Scalar.LONG)), "input columns lose their names"),
        (inputs(tensor()), inputs(tensor("float64")), r"changes to float64"),
        (inputs(tensor(shape=(-1, -1))), inputs(tensor(shape=(-1, 4))), "changes to"),
        (inputs(tensor()), inputs(tensor(shape=(-1, 5))), "changes to"),
        (inputs(tensor()), inputs(tensor(shape=(-1, 4, 1))), "changes to"),
        (inputs(tensor(name="x")), inputs(tensor(name="x"), tensor(name="m")), "new required input 'm'"),
        (inputs(tensor(name="x"), tensor(name="m")), inputs(tensor(name="x")), "'m' is removed"),
        (outputs(A, B), outputs(A), "output 'b' is removed"),
        (outputs(A), outputs(Field("a", Scalar.DOUBLE)), "output 'a' changes from long to double"),
        (outputs(tensor(shape=(-1, 4))), outputs(tensor(shape=(-1, -1))), "changes to"),
        (params(P), params(), "param 'p' is removed"),
        (params(P), params(Param("p", Scalar.STRING, "")), "param 'p' changes from long to string"),
        (params(P), params(Param("p", Scalar.LONG, [], (-1,))), "from a single value to a list"),
    ],
)
def test_what_breaks_is_said_in_words(old: Signature, new: Signature, why: str) -> None:
    (found,) = breaking_changes(old, new)
    assert why in found


def test_all_that_breaks_is_listed() -> None:
    found = breaking_changes(
        Signature((A,), (B,), (P,)), Signature((Field("a", Scalar.STRING), B), (A,), (Param("q", Scalar.LONG, 1),))
    )
    assert len(found) == 4
