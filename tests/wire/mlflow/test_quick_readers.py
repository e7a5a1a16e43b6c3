"""Bodies to what the model gets: the quick reader, and pandas for whatever it does not settle."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import MalformedInput, SchemaViolation
from penstock.flavors.frames import to_python
from penstock.payload import Payload, Table
from penstock.signature import AnyValue, ArrayOf, Field, ObjectOf, Property, Scalar, Schema, Signature, TensorField
from penstock.wire.interface import ReadElsewhere
from penstock.wire.mlflow import codec
from penstock.wire.mlflow.answers import answer_value
from penstock.wire.mlflow.codec import BodyReader, PredictRequest
from penstock.wire.mlflow.formats import CSV, JSON, PARQUET
from penstock.wire.mlflow.quick_readers import FloatReader

ALL = (
    Field("d", Scalar.DOUBLE),
    Field("f", Scalar.FLOAT),
    Field("l", Scalar.LONG),
    Field("i", Scalar.INTEGER),
    Field("b", Scalar.BOOLEAN),
    Field("s", Scalar.STRING),
)


def read(document: Any, schema: Schema | None, media: str = JSON, **more: Any) -> PredictRequest:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return BodyReader(Signature(schema) if schema else None, frames=more.pop("frames", True), **more).read(media, body)


def frame_of(payload: Payload) -> Any:
    return to_python(payload)


def refused(document: Any, schema: Schema | None, media: str = JSON) -> str:
    with pytest.raises((SchemaViolation, MalformedInput)) as caught:
        read(document, schema, media)
    return str(caught.value)


_CELLS = {
    Scalar.DOUBLE: st.floats() | st.integers(-(2**70), 2**70) | st.none(),
    Scalar.FLOAT: st.floats(width=32) | st.integers(-100, 100) | st.none(),
    Scalar.LONG: st.integers(-(2**63), 2**63 - 1),
    Scalar.INTEGER: st.integers(-(2**31), 2**31 - 1),
    Scalar.BOOLEAN: st.booleans() | st.none(),
    Scalar.STRING: st.text(max_size=3) | st.none(),
}


_WORDS = ["1", "1_0", " 2 ", "1e400", "nan", "inf", "", "0x1", "true"]


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], Schema]:
    """Requests as callers send them, with the odd cell of another type, and the schema they are for."""
    fields = draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=4, unique=True))
    anything = st.one_of(*_CELLS.values(), st.lists(st.integers(0, 1), max_size=2), st.sampled_from(_WORDS))
    if draw(st.booleans()):
        fields = [Field(name, draw(st.sampled_from([Scalar.DOUBLE, Scalar.FLOAT]))) for name in "xy"]
    rows = [
        {f.name: draw(_CELLS[f.type] if draw(st.integers(0, 20)) else anything) for f in fields}  # type: ignore[index]
        for _ in range(draw(st.integers(0, 3)))
    ]
    if draw(st.booleans()):
        rows = [{**row, "extra": 1} for row in rows]
    names = list(rows[0]) if rows else [f.name for f in fields]
    forms = {
        "dataframe_split": {"columns": names, "data": [[row[n] for n in names] for row in rows]},
        "dataframe_records": rows,
        "instances": rows,
        "inputs": {n: [row[n] for row in rows] for n in names},
    }
    envelope = draw(st.sampled_from(sorted(forms)))
    schema = draw(st.sampled_from([tuple(fields), None]))
    return {envelope: forms[envelope]}, schema  # type: ignore[return-value]


@settings(max_examples=600)
@given(documents())
def test_the_quick_reader_settles_only_what_pandas_reads_the_same(case: tuple[dict[str, Any], Schema | None]) -> None:
    document, schema = case
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        for quick in (True, False):
            if not quick:
                patch.setattr(codec, "settle", lambda *_, **__: None)
                patch.setattr(FloatReader, "read", lambda *_: None)
            try:
                answers.append(frame_of(read(document, schema).payload))
            except (SchemaViolation, MalformedInput) as error:
                answers.append(type(error))
    first, second = answers
    if isinstance(second, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    elif isinstance(second, dict):
        assert {k: (v.dtype, repr(v.tolist())) for k, v in first.items()} == {
            k: (v.dtype, repr(v.tolist())) for k, v in second.items()
        }
    else:
        assert first is second or first == second


def test_clean_tables_are_settled_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.wire.mlflow import frames

    monkeypatch.setattr(frames, "read_document", lambda *_: pytest.fail("pandas was asked"))
    rows: list[dict[str, Any]] = [
        {"d": 1, "f": 2.5, "l": 3, "i": 4, "b": True, "s": "x"},
        {"d": None, "f": 1, "l": 1, "i": 1, "b": False, "s": ""},
    ]
    for document in (
        {"dataframe_records": rows},
        {"dataframe_split": {"columns": list(rows[0]), "data": [list(r.values()) for r in rows]}},
    ):
        table = read(document, ALL).payload
        assert isinstance(table, Table)
        assert table.rows == 2
    read({"inputs": [[1.0, 2], [3, 4]]}, (TensorField(None, np.dtype("float32"), (-1, 2)),))


def test_models_of_arrays_never_need_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n == "pandas" or n.startswith("pandas.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pandas", None)
    schema = (TensorField(None, np.dtype("float32"), (-1, 2)),)
    for document in (
        {"inputs": [["1", 2]]},
        {"instances": [[1, None]]},
        {"dataframe_split": {"data": [["1", 2]]}},
        {"dataframe_records": [{"x": [1, 2]}]},
    ):
        assert read(document, schema, frames=False).payload.rows == 1
    wrong: list[Any] = [{"inputs": {"a": [1]}}, {"inputs": None}, {"inputs": [[1]]}, {"dataframe_split": {"data": []}}]
    for document in wrong:
        with pytest.raises((SchemaViolation, MalformedInput)):
            read(document, schema, frames=False)


@pytest.mark.parametrize(
    ("cell", "type_", "why"),
    [
        (2**31, Scalar.INTEGER, "out of range for int32"),
        (2**63, Scalar.LONG, "out of range for int64"),
        (1.9, Scalar.LONG, "1.9 is not a whole number"),
        (1e300, Scalar.FLOAT, "out of range for float32"),
        ("maybe", Scalar.BOOLEAN, "'maybe' is not a boolean"),
        (7, Scalar.BOOLEAN, "7 is not a boolean"),
    ],
)
def test_cells_that_would_be_corrupted_are_refused_with_their_place(cell: Any, type_: Scalar, why: str) -> None:
    schema = (Field("a", type_), Field("s", Scalar.STRING))
    said = refused({"dataframe_split": {"columns": ["a", "s"], "data": [[0, "x"], [cell, "y"]]}}, schema)
    assert why in said
    assert "row 1, column 'a'" in said
    assert why in refused({"inputs": {"a": [0, cell], "s": ["x", "y"]}}, schema)


def test_missing_columns_are_said_before_cells_that_do_not_fit() -> None:
    schema = (Field("a", Scalar.LONG), Field("b", Scalar.LONG))
    assert "missing columns: 'b'" in refused({"dataframe_split": {"columns": ["a"], "data": [[1.5]]}}, schema)


@pytest.mark.parametrize("words", [["true", "False", "1", "0.0"], ["TRUE", " false ", "1.0", "0"]])
def test_booleans_are_read_as_meant(words: list[str]) -> None:
    for document in ({"dataframe_split": {"columns": ["b"], "data": [[w] for w in words]}}, {"inputs": {"b": words}}):
        frame = frame_of(read(document, (Field("b", Scalar.BOOLEAN),)).payload)
        assert frame["b"].tolist() == [True, False, True, False]


def test_missing_booleans_stay_missing() -> None:
    frame = frame_of(read({"dataframe_records": [{"b": True}, {"b": None}]}, (Field("b", Scalar.BOOLEAN),)).payload)
    assert frame["b"].dtype == object
    assert frame["b"].tolist() == [True, pytest.approx(np.nan, nan_ok=True)]


def test_cells_that_cannot_be_cast_are_named() -> None:
    rows = [{"a": "1"}, {"a": "x"}, {"a": "2"}, {"a": None}]
    said = refused({"dataframe_records": rows}, (Field("a", Scalar.LONG),))
    assert "row 1, column 'a'" in said
    assert "row 3, column 'a'" in said


def test_nested_cells_say_what_is_wrong_inside() -> None:
    schema = (Field("o", ObjectOf((Property("n", Scalar.LONG), Property("x", Scalar.STRING, required=False)))),)
    assert frame_of(read({"dataframe_records": [{"o": {"n": 1}}]}, schema).payload)["o"][0] == {"n": 1}
    assert "row 0, column 'o'" in (said := refused({"dataframe_records": [{"o": {"x": "a"}}]}, schema))
    assert "lacks 'n'" in said
    assert "unknown keys 'y'" in refused({"dataframe_records": [{"o": {"n": 1, "y": 2}}]}, schema)


def test_any_column_is_handed_over_as_it_is() -> None:
    frame = frame_of(read({"dataframe_records": [{"a": [1]}, {"a": {"k": None}}]}, (Field("a", AnyValue()),)).payload)
    assert frame["a"].tolist() == [[1], {"k": None}]


def test_whole_numbers_past_64_bits_keep_their_digits() -> None:
    assert frame_of(read({"inputs": [2**64 + 1]}, None).payload).tolist() == [2**64 + 1]
    assert read({"inputs": [1], "params": {"n": 2**64 + 1}}, None).params == {"n": 2**64 + 1}


def test_csv_columns_have_the_types_of_the_signature() -> None:
    schema = (Field("when", Scalar.DATETIME), Field("s", Scalar.STRING), Field("l", Scalar.LONG))
    frame = frame_of(read(b"s,l,when,more\n7,1,2024-01-02T03:04:05,x\n", schema, CSV).payload)
    assert list(frame.columns) == ["when", "s", "l"]
    assert frame.dtypes.tolist() == [np.dtype("datetime64[ns]"), np.dtype(object), np.dtype("int64")]
    assert frame["s"].tolist() == ["7"]
    assert "Row 1, column 'x'" in refused(b"x\n1\n1e999\n", (Field("x", Scalar.DOUBLE),), CSV)
    assert "cannot be sent as CSV" in refused(b"x\n1\n", (Field("x", ArrayOf(Scalar.LONG)),), CSV)
    assert "not valid UTF-8" in refused(b"x\n\xff\n", (Field("x", Scalar.DOUBLE),), CSV)


def test_nothing_is_imported_on_an_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "pyarrow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    schema = (Field("x", Scalar.DOUBLE),)
    with pytest.raises(ReadElsewhere):
        read(b"x\n1\n", schema, CSV, on_loop=True)
    with pytest.raises(ReadElsewhere):
        read(b"PAR1", schema, PARQUET, on_loop=True, frames=False)
    assert read({"dataframe_split": {"columns": ["x"], "data": [["1"]]}}, schema, on_loop=True).payload.rows == 1


@pytest.mark.parametrize(
    ("rows", "cell", "frames", "here"),
    [
        (10_000, 1.5, True, True),
        (60_000, 1.5, True, False),
        (5_000, "text", False, True),
        (10_000, "text", False, False),
        (500, "2020-01-01", True, True),
        (5_000, "2020-01-01", True, False),
    ],
    ids=["numbers", "many numbers", "text", "much text", "for pandas", "much for pandas"],
)
def test_an_event_loop_reads_what_takes_next_to_no_time(rows: int, cell: Any, frames: bool, here: bool) -> None:
    document = {"dataframe_split": {"columns": ["x"], "data": [[cell]] * rows}}
    schema = (Field("x", {"text": Scalar.STRING, 1.5: Scalar.DOUBLE}.get(cell, Scalar.DATETIME)),)
    if here:
        assert read(document, schema, on_loop=True, frames=frames).payload.rows == rows
    else:
        with pytest.raises(ReadElsewhere):
            read(document, schema, on_loop=True, frames=frames)


TENSOR = (TensorField(None, np.dtype("float32"), (-1, 2)),)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"inputs": [[1, "2.5"], [None, True]]}, [[1.0, 2.5], [None, 1.0]]),
        ({"inputs": [[1, 1e300]]}, None),
        ({"inputs": [[1, 2, 3]]}, None),
        ({"inputs": [[1, 2], [3]]}, None),
        ({"inputs": []}, None),
        ({"inputs": [[1, 2]], "instances": [[1, 2]]}, None),
        ({"instances": [[1, 2]]}, None),
        ({"inputs": [[1, "inf"]]}, None),
    ],
)
def test_a_plain_array_of_floats_is_read_in_one_step_or_left_alone(document: dict[str, Any], expected: Any) -> None:
    found = FloatReader(TENSOR).read(document)
    assert (None if found is None else answer_value(found)) == expected
    assert found is None or found.arrays[0].dtype == np.float32  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_infinities_of_both_signs_are_left_alone_and_numpy_does_not_warn(dtype: str) -> None:
    reader = FloatReader((TensorField(None, np.dtype(dtype), (-1, 3)),))
    assert reader.read({"inputs": [[np.inf, -np.inf, 1.0]]}) is None


def test_numbers_whose_sum_is_too_large_for_a_double_are_read_and_numpy_does_not_warn() -> None:
    found = FloatReader((TensorField(None, np.dtype("float64"), (-1, 2)),)).read({"inputs": [[1.7e308, 1.7e308]]})
    assert found is not None
    assert answer_value(found) == [[1.7e308, 1.7e308]]


@pytest.mark.parametrize("frames", [True, False])
def test_a_body_with_infinities_of_both_signs_is_read_without_a_warning(frames: bool) -> None:
    schema = (TensorField(None, np.dtype("float64"), (-1, 3)),)
    read_body = read(b'{"inputs": [[Infinity, -Infinity, 1.0]]}', schema, frames=frames).payload
    assert frame_of(read_body).tolist() == [[np.inf, -np.inf, 1.0]]
