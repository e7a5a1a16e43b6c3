"""Payloads to pandas frames and back, for every dtype that pandas has and we can say."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.errors import AnswerUnserializable
from penstock.flavors.frames import from_frame, from_python, to_frame, to_python
from penstock.payload import TEXT, Table, Tensors, Value, as_object_array
from penstock.wire.mlflow.answers import answer_value


def cells(series: Any) -> list[Any]:
    (column,) = from_frame(pd.DataFrame({"a": series})).iter_columns()
    return list(column.tolist() if column.dtype.kind != "M" else column)


def test_a_block_stays_one_block_without_a_copy() -> None:
    block = np.arange(6.0).reshape(3, 2)
    frame = to_frame(Table(("a", "b"), block=block))
    assert np.shares_memory(frame.to_numpy(), block)
    back = from_frame(frame)
    assert back.names == ("a", "b")
    assert back.block is not None
    assert back.block.tolist() == block.tolist()


def test_row_labels_stand_beside_cells_of_every_kind() -> None:
    columns = [np.array([1.0, 2.0]), as_object_array([[1], None]), np.array(["x", "y"], dtype=TEXT)]
    frame = to_frame(Table.of(["a", "b", "c"], columns, as_object_array(["r", "s"])))
    assert frame.loc["r"].tolist() == [1.0, [1], "x"]
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "object", "str"]


@pytest.mark.parametrize("names", [None, (0, 1), ("a", "b"), ("a", 1), ("a", "a")])
def test_a_frame_has_the_tables_column_names_or_numbers(names: Any) -> None:
    frame = to_frame(Table(names, block=np.zeros((2, 2))))
    assert frame.columns.tolist() == ([0, 1] if names is None else list(names))
    mixed = to_frame(Table.of(names, [np.zeros(2), as_object_array(["x", "y"])]))
    assert mixed.columns.tolist() == ([0, 1] if names is None else list(names))
    assert mixed.dtypes.tolist()[0] == np.float64


def test_the_index_reaches_the_model() -> None:
    index = as_object_array(["r1", "r2"])
    assert to_frame(Table(("a",), block=np.zeros((2, 1)), index=index)).index.tolist() == ["r1", "r2"]
    columns = Table.of(["a", "b"], [np.zeros(2), np.zeros(2, int)], index=index)
    assert to_frame(columns).index.tolist() == ["r1", "r2"]


def test_tables_without_rows_or_columns_become_such_frames() -> None:
    assert to_frame(Table(("a", "b"), block=np.empty((0, 2)))).shape == (0, 2)
    assert to_frame(Table((), columns=())).shape == (0, 0)
    assert to_frame(Table((), columns=(), index=np.arange(3))).shape == (3, 0)
    assert from_frame(pd.DataFrame()).width == 0


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int32", "int64", "uint16", "uint64", "float32", "float64", "datetime64[ns]"]
)
def test_plain_numpy_columns_keep_their_dtype(dtype: str) -> None:
    array = np.array([0, 1, 1]).astype(dtype)
    (column,) = from_frame(pd.DataFrame({"a": array})).iter_columns()
    assert column.dtype == np.dtype(dtype)
    assert (column == array).all()
    assert to_frame(Table.of(["a"], [column]))["a"].dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("series", "expected", "kind"),
    [
        (pd.Series([1, 2], dtype="Int64"), [1, 2], "i"),
        (pd.Series([1, None], dtype="Int64"), [1, None], "O"),
        (pd.Series([2**53 + 1, None], dtype="Int64"), [2**53 + 1, None], "O"),
        (pd.Series([True, False], dtype="boolean"), [True, False], "b"),
        (pd.Series([True, None], dtype="boolean"), [True, None], "O"),
        (pd.Series([1.5, 2.5], dtype="Float32"), [1.5, 2.5], "f"),
        (pd.Series([1.5, None], dtype="Float64"), [1.5, None], "O"),
        (pd.Series(["x", None], dtype="string"), ["x", None], "O"),
        (pd.Series(["x", None], dtype="str"), ["x", math.nan], "O"),
        (pd.Series(["x", None], dtype="category"), ["x", math.nan], "O"),
        (pd.Series([3, 1, 3], dtype="category"), [3, 1, 3], "O"),
        (pd.Series(["x", None], dtype=object), ["x", None], "O"),
        (pd.Series([1.5, 0.0], dtype="Sparse[float64]"), [1.5, 0.0], "f"),
        (pd.Series([[1], [2, 3]]), [[1], [2, 3]], "O"),
        (pd.Series(["x", None], dtype="string[pyarrow]"), ["x", None], "O"),
        (pd.Series([1, None], dtype="int64[pyarrow]"), [1, None], "O"),
        (pd.Series([1, 2], dtype="int64[pyarrow]"), [1, 2], "i"),
        (pd.Series([True, False], dtype="bool[pyarrow]"), [True, False], "b"),
        (pd.Series([datetime.date(2026, 1, 2)]), [datetime.date(2026, 1, 2)], "O"),
    ],
    ids=lambda v: str(getattr(v, "dtype", ""))[:24],
)
def test_extension_types_become_plain_ones(series: Any, expected: list[Any], kind: str) -> None:
    (column,) = from_frame(pd.DataFrame({"a": series})).iter_columns()
    assert column.dtype.kind == kind
    assert repr(cells(series)) == repr(expected)
    assert [type(c) for c in cells(series)] == [type(e) for e in expected]


def test_timestamps_keep_their_nanoseconds_zones_and_gaps() -> None:
    plain = pd.Series(pd.to_datetime(["2026-01-02T03:04:05.123456789", None]))
    (column,) = from_frame(pd.DataFrame({"a": plain})).iter_columns()
    assert column.dtype.kind == "M"
    assert str(column[0]) == "2026-01-02T03:04:05.123456789"
    assert np.isnat(column[1])
    zoned = pd.Series(pd.to_datetime(["2026-01-02T03:04:05Z", None]))
    stamp, gap = cells(zoned)
    assert stamp == pd.Timestamp("2026-01-02T03:04:05Z")
    assert gap is pd.NaT


def test_column_names_without_a_form_in_json_become_text_or_are_refused() -> None:
    frame = pd.DataFrame([[2, 3]], columns=pd.Index([1.5, None], dtype=object))
    assert from_frame(frame).names == ("1.5", "None")
    levels = pd.DataFrame([[1]], columns=pd.Index([("a", "b")], dtype=object, tupleize_cols=False))
    with pytest.raises(AnswerUnserializable, match="'a', 'b'"):
        from_frame(levels)


def test_a_frame_without_columns_keeps_its_rows() -> None:
    assert answer_value(from_frame(pd.DataFrame(index=[5, 6]))) == [{}, {}]


def test_what_is_masked_is_missing() -> None:
    assert answer_value(from_python(np.ma.array([1, 2], mask=[False, True]))) == [1, None]


def test_text_and_objects_reach_a_model_as_they_are() -> None:
    text = np.array(["a", np.nan], dtype=TEXT)
    objects = as_object_array(["b", None])
    frame = to_frame(Table.of(["text", "objects"], [text, objects]))
    assert frame["text"].dtype == pd.Series(["a"], dtype="str").dtype
    assert frame["objects"].dtype == object
    assert frame["objects"].tolist() == ["b", None]
    assert to_frame(Table.of(["a", "b"], [objects, objects])).dtypes.tolist() == [object, object]
    assert to_frame(Table.of(["a", "b"], [text, text]))["b"].tolist()[0] == "a"


def test_series_are_frames_of_one_column() -> None:
    for series, name in [
        (pd.Series([1, 2]), "0"),
        (pd.Series([1, 2], name="score"), "score"),
        (pd.Series([1, 2], name=3), 3),
        (pd.Series([1, 2], name=0), 0),
    ]:
        table = from_python(series)
        assert isinstance(table, Table)
        assert table.names == (name,)
        assert table.index is None  # labels are the model's business


def test_arrays_become_tensors_and_anything_else_a_value() -> None:
    array = np.zeros(2)
    assert from_python(array).arrays[0] is array  # type: ignore[union-attr]
    named = from_python({"a": array, 1: array})
    assert isinstance(named, Tensors)
    assert named.names == ("a", "1")
    for value in ({}, {"a": array, "b": "x"}, {"a": np.array(1.0)}, [1, 2], "x", None, 3.5, (array, array)):
        assert isinstance(from_python(value), Value)
    listed = from_python([[1], {"a": 2}], rows_of_lists=True)
    assert isinstance(listed, Tensors)
    assert listed.rows == 2
    assert listed.arrays[0].tolist() == [[1], {"a": 2}]


def test_each_kind_of_payload_becomes_what_mlflow_hands_over() -> None:
    array = np.zeros(2)
    assert to_python(Tensors.single(array)) is array
    assert to_python(Tensors.named({"a": array})) == {"a": array}
    assert to_python(Value("x")) == "x"
    assert isinstance(to_python(Table(("a",), block=np.zeros((1, 1)))), pd.DataFrame)


columns = st.integers(1, 4).flatmap(
    lambda rows: st.lists(
        st.sampled_from(["float64", "float32", "int64", "bool", "datetime64[ns]"]).flatmap(
            lambda dtype: hnp.arrays(np.dtype(dtype), rows)
        )
        | st.lists(
            st.integers() | st.booleans() | st.lists(st.integers(), max_size=2), min_size=rows, max_size=rows
        ).map(as_object_array),
        min_size=1,
        max_size=4,
    )
)


@settings(max_examples=80, deadline=None)
@given(columns)
def test_tables_come_back_from_frames_as_they_went(given_columns: list[Any]) -> None:
    table = Table.of([f"c{i}" for i in range(len(given_columns))], given_columns)
    back = from_frame(to_frame(table))
    assert back.names == table.names
    assert back.layout == table.layout
    for one, other in zip(back.iter_columns(), table.iter_columns(), strict=True):
        assert [repr(c) for c in one] == [repr(c) for c in other]
