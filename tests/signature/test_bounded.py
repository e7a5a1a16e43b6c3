"""Which signatures bound the size of a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.signature import AnyValue, ArrayOf, Field, MapOf, Scalar, Signature, TensorField, Type, bounded_rows


def test_nothing_is_known_without_a_signature() -> None:
    assert not bounded_rows(None)
    assert not bounded_rows(Signature())


@pytest.mark.parametrize("type_", [Scalar.BOOLEAN, Scalar.INTEGER, Scalar.LONG, Scalar.DOUBLE, Scalar.DATETIME])
def test_columns_of_fixed_width_are_bounded(type_: Scalar) -> None:
    signature = Signature(inputs=(Field("a", type_), Field("b", Scalar.FLOAT, required=False)))
    assert bounded_rows(signature)
    assert not bounded_rows(replace(signature, hinted=True)), "which nobody checks before the model"


@pytest.mark.parametrize(
    "type_", [Scalar.STRING, Scalar.BINARY, AnyValue(), ArrayOf(Scalar.DOUBLE), MapOf(Scalar.DOUBLE)]
)
def test_one_column_of_any_length_is_enough_not_to_be(type_: Type) -> None:
    assert not bounded_rows(Signature(inputs=(Field("a", Scalar.DOUBLE), Field("b", type_))))


@pytest.mark.parametrize(
    ("dtype", "shape", "bounded"),
    [
        ("f4", (-1, 3), True),
        ("i8", (-1,), True),
        ("f4", (-1, -1), False),
        ("f4", (-1, 3, -1), False),
        ("f4", (), False),
        ("U", (-1, 3), False),
        ("O", (-1, 3), False),
    ],
)
def test_arrays_are_bounded_where_only_the_rows_are_free(dtype: str, shape: tuple[int, ...], bounded: bool) -> None:
    assert bounded_rows(Signature(inputs=(TensorField(None, np.dtype(dtype), shape),))) is bounded
