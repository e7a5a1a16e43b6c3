"""What one signature has that another has not."""

from __future__ import annotations

import numpy as np

from penstock.signature import Field, Param, Scalar, Signature, TensorField
from penstock.signature.difference import Change, changes


def test_named_fields_are_compared_by_name() -> None:
    old = Signature(
        inputs=(Field("a", Scalar.LONG), Field("b", Scalar.DOUBLE), Field("c", Scalar.STRING)),
        outputs=(Field("y", Scalar.DOUBLE),),
        params=(Param("p", Scalar.LONG, 1), Param("q", Scalar.STRING, "x")),
    )
    new = Signature(
        inputs=(Field("c", Scalar.STRING), Field("a", Scalar.DOUBLE), Field("d", Scalar.LONG, required=False)),
        outputs=(Field("y", Scalar.DOUBLE), Field("z", Scalar.DOUBLE)),
        params=(Param("p", Scalar.LONG, 2), Param("r", Scalar.LONG, [1], (-1,))),
    )
    found = changes(old, new)
    assert found == [
        Change("input", "a", "long", "double"),
        Change("input", "b", "double", None),
        Change("input", "d", None, "long (optional)"),
        Change("output", "z", None, "double"),
        Change("param", "p", "long, default 1", "long, default 2"),
        Change("param", "q", "string, default 'x'", None),
        Change("param", "r", None, "long list, default [1]"),
    ]
    assert [c.kind for c in found] == ["changed", "removed", "added", "added", "changed", "removed", "added"]
    assert changes(new, new) == []


def test_fields_without_names_are_compared_by_position() -> None:
    old = Signature(inputs=(TensorField(None, np.dtype("float32"), (-1, 4)),))
    new = Signature(inputs=(TensorField(None, np.dtype("float32"), (-1, 5)),))
    assert changes(old, new) == [Change("input", "tensor 1", "float32[-1, 4]", "float32[-1, 5]")]
    columns = Signature(inputs=(Field(None, Scalar.LONG), Field(None, Scalar.LONG)))
    assert changes(None, columns) == [
        Change("input", "column 1", None, "long"),
        Change("input", "column 2", None, "long"),
    ]
