"""Which signatures bound the size of a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.payload import TEXT, Table, Tensors
from penstock.signature import (
    AnyValue,
    ArrayOf,
    Field,
    MapOf,
    Scalar,
    Signature,
    TensorField,
    Type,
    bounded_rows,
    long_texts,
    unbounded_column,
)


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


def test_a_column_of_lists_or_objects_is_unbounded_and_texts_are_not() -> None:
    texts = (Field("a", Scalar.DOUBLE), Field("b", Scalar.STRING), Field("c", Scalar.BINARY))
    assert unbounded_column(Signature(texts)) is None
    assert unbounded_column(Signature((*texts, Field("d", ArrayOf(Scalar.LONG))))) == "column d"
    assert unbounded_column(Signature((Field(None, AnyValue()),))) == "column 0"
    assert unbounded_column(Signature((TensorField(None, np.dtype("U"), (-1, 2)),))) is None
    assert unbounded_column(None) is None


def test_long_texts_are_found_by_their_bytes_in_tables_and_arrays() -> None:
    table = Table.of(("n", "t"), [np.ones(3), np.array(["a" * 8, "ä" * 5, None], dtype=object)])
    (found,) = long_texts(table, 8, 9)
    assert (found.row, found.column) == (1, "t")
    assert "more than 8 bytes" in str(found)
    array = Tensors.single(np.array([["a", "b" * 9], ["c" * 9, "d"]], dtype=object))
    assert [v.row for v in long_texts(array, 8, 9)] == [0, 1]
    assert [v.row for v in long_texts(array, 8, 1)] == [0]
    assert long_texts(Tensors.single(np.ones((2, 2))), 8, 9) == []
    assert long_texts(Table(("b",), block=np.array([[b"x" * 9]], dtype=object)), 8, 9)
    assert [v.row for v in long_texts(Table.of(("t",), [np.array(["a", np.nan, "b" * 9], dtype=TEXT)]), 8, 9)] == [2]


@pytest.mark.parametrize("shape", [(0,), (0, 3), ()])
def test_arrays_without_rows_have_no_long_texts(shape: tuple[int, ...]) -> None:
    assert long_texts(Tensors.single(np.full(shape, "a", dtype=object)), 8, 9) == []
