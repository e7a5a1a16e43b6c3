"""JSON rows and columns become arrays with every value as it was."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import MalformedInput
from penstock.signature import Field, Scalar, TensorField
from penstock.wire.json_rows import array_of, column_of, table_of_columns, table_of_records, table_of_rows

FLOATS = (Field("a", Scalar.DOUBLE), Field("b", Scalar.FLOAT))

cells = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3)
like_cells = st.sampled_from([st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=3), cells])
columns = like_cells.flatmap(lambda c: st.lists(c, max_size=6) | st.lists(c | st.none(), max_size=6))


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([1.5, 2.0], "float64"),
        ([1, 2], "int64"),
        ([True, False], "bool"),
        (["a", "b"], "object"),
        ([1.5, None], "float64"),
        ([1, None], "object"),
        ([1, 2.5], "object"),
        ([True, None], "object"),
        ([None, None], "object"),
        ([2**63], "object"),
        ([[1], [2]], "object"),
        ([{}], "object"),
        ([], "object"),
    ],
)
def test_columns_for_a_schema_keep_every_value(given: list[Any], dtype: str) -> None:
    column = column_of(given, known=True)
    assert column.dtype == np.dtype(dtype)
    assert column.shape == (len(given),)
    assert all(alike(g, c) or (c is None and g != g) for g, c in zip(column.tolist(), given, strict=True))


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([1, None], "float64"),  # as pandas has it
        ([1, 2.5], "float64"),
        ([True, None], "object"),
        ([None], "object"),
        ([10**400, 1.5], "object"),
        ([10**400, None], "object"),
    ],
)
def test_columns_without_a_schema_are_as_pandas_has_them(given: list[Any], dtype: str) -> None:
    assert column_of(given, known=False).dtype == np.dtype(dtype)


@settings(max_examples=200, deadline=None)
@given(columns)
def test_any_column_for_a_schema_keeps_every_value(given: list[Any]) -> None:
    column = column_of(given, known=True)
    assert len(column) == len(given)
    for got, cell in zip(column.tolist(), given, strict=True):
        assert alike(got, cell) or (cell is None and math.isnan(got))


def test_floats_alone_go_straight_into_one_block() -> None:
    table = table_of_rows(["a", "b"], [[1, 2.5], [None, "3"]], FLOATS)
    assert table.block is not None
    assert table.block.flags.c_contiguous
    assert np.array_equal(table.block, [[1.0, 2.5], [np.nan, 3.0]], equal_nan=True)
    array = (TensorField(None, np.dtype("float32"), (-1, 2)),)
    assert table_of_rows(None, [[1, 2.5]], array).block is not None


@pytest.mark.parametrize("rows", [[[1, "x"]], [[1, [2]]], [[1, {}]], [["1e400", 1]]])
def test_other_cells_are_left_for_a_closer_look(rows: list[Any]) -> None:
    table = table_of_rows(["a", "b"], rows, FLOATS)
    assert [[c[i] for c in table.iter_columns()] for i in range(len(rows))] == rows


def test_mixed_schemas_never_push_whole_numbers_through_floats() -> None:
    schema = (Field("a", Scalar.DOUBLE), Field("n", Scalar.LONG))
    table = table_of_rows(["a", "n"], [[1.5, 2**53 + 1]], schema)
    assert table.column(1).tolist() == [2**53 + 1]


def test_a_flat_list_is_one_column() -> None:
    assert table_of_rows(None, [1, 2, 3], None).column(0).tolist() == [1, 2, 3]
    with pytest.raises(MalformedInput, match="Every row must be a list"):
        table_of_rows(None, [1, [2]], None)


def test_no_rows_are_an_empty_table() -> None:
    empty = table_of_rows(["a", "b"], [], FLOATS)
    assert (empty.rows, empty.width, empty.names) == (0, 2, ("a", "b"))
    assert table_of_rows(None, [], None).width == 0
    assert table_of_rows([], [[], []], None).width == 0


def test_index_labels_are_kept_or_refused() -> None:
    assert table_of_rows(["a"], [[1], [2]], None, ["x", 7]).index is not None
    wrong: list[Any] = [5, [1], "ab", {}]
    for index in wrong:
        with pytest.raises(MalformedInput, match="index"):
            table_of_rows(["a"], [[1], [2]], None, index)


def test_columns_of_records_come_in_the_order_first_seen() -> None:
    table = table_of_records([{"b": 1}, {"a": "x", "b": 2}, {"c": 1.5}], None)
    assert table.names == ("b", "a", "c")
    assert table.column(1).tolist() == [None, "x", None]
    assert np.array_equal(table.column(0), [1, 2, np.nan], equal_nan=True)


def test_keys_of_records_may_come_in_any_order() -> None:
    table = table_of_records([{"a": 1, "b": 2}, {"b": 4, "a": 3}], FLOATS)
    assert table.block is not None
    assert table.block.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_columns_by_name_must_have_one_length() -> None:
    table = table_of_columns({"a": [1, 2], "l": [[1], [2, 3]]})
    assert table.column(1).tolist() == [[1], [2, 3]]
    with pytest.raises(MalformedInput, match=r"'a': 1, '\\ud800': 2"):
        table_of_columns({"a": [1], "\ud800": [1, 2]})


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (1, "int64", ()),
        ([1, 2], "int64", (2,)),
        ([[1, 2.5]], "float64", (1, 2)),
        ([True], "bool", (1,)),
        (["a", "b"], "<U1", (2,)),
        ("a", "<U1", ()),
        ([["a"], ["bc"]], "<U2", (2, 1)),
        (["a", 1], "object", (2,)),
        ([None], "object", (1,)),
        ([[1], [2, 3]], "object", (2,)),
        ([[[1], [2, 3]], [4]], "object", (2,)),
        ({"a": 1}, "object", ()),
        ([{"a": 1}], "object", (1,)),
        ([], "float64", (0,)),
        ([[]], "float64", (1, 0)),
        (None, "object", ()),
    ],
)
def test_arrays_have_the_dtype_and_shape_that_numpy_gives_them(value: Any, dtype: str, shape: tuple[int, ...]) -> None:
    array = array_of(value)
    assert (array.dtype, array.shape) == (np.dtype(dtype), shape)
    assert array.tolist() == value


@pytest.mark.parametrize("value", [[2**53 + 1, 0.5], [[2**63 - 1], [0.5]], [-(2**60), float("nan"), 1e300]])
def test_exact_arrays_lose_no_digits(value: Any) -> None:
    assert repr(array_of(value, exact=True).tolist()) == repr(value)
    assert repr(array_of(value, np.dtype("int64")).tolist()) == repr(value)
    assert array_of(value).dtype == np.float64
    assert array_of(value, np.dtype("float32")).dtype == np.float64
    assert array_of([1, 0.5], exact=True).dtype == np.float64


def test_what_a_float_array_cannot_hold_is_left_for_a_closer_look() -> None:
    float32 = np.dtype("float32")
    assert array_of(["1e400"], float32).tolist() == ["1e400"]
    assert array_of("1a", float32).tolist() == "1a"
    assert array_of(["1", None], float32).dtype == np.float64
    assert array_of([[1.0], [1.0, 2.0]], float32).shape == (2,)


def test_arrays_nested_too_deeply_for_numpy_become_objects() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    assert array_of(deep).dtype == object
