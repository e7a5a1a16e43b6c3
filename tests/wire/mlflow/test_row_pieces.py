"""Rows read in pieces are the rows that are read whole, or are left to be read whole."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import InputError, InputTooLarge
from penstock.payload import Payload, Table, Tensors
from penstock.signature import Field, Scalar, Schema, Signature, TensorField
from penstock.wire.mlflow import codec, row_pieces
from penstock.wire.mlflow.codec import BodyReader, MlflowCodec
from penstock.wire.mlflow.formats import JSON

AB: Schema = (Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE))
TEXT_AND_NUMBER: Schema = (Field("a", Scalar.STRING), Field("b", Scalar.LONG))
ARRAY: Schema = (TensorField(None, np.dtype(np.float32), (-1, 2)),)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every body is a large one, and a piece is a few rows."""
    monkeypatch.setattr(codec, "LARGE", 0)
    monkeypatch.setattr(row_pieces, "_PIECE", 20)


def read(body: bytes, schema: Schema | None) -> Any:
    reader = BodyReader(Signature(schema) if schema else None, frames=False)
    try:
        request = reader.read(JSON, body)
    except InputError as error:
        return str(error)
    return repr(plain(request.payload)), request.params


def plain(payload: Payload) -> Any:
    if isinstance(payload, Table):
        return payload.names, [(column.dtype, column.tolist()) for column in payload.iter_columns()]
    if isinstance(payload, Tensors):
        return payload.names, [(array.dtype, array.tolist()) for array in payload.arrays]
    return payload.value


def in_pieces(body: bytes, schema: Schema | None) -> bool:
    reader = BodyReader(Signature(schema) if schema else None, frames=False)
    return reader._read_rows(body) is not None


_NUMBER = st.integers(-99, 2**70) | st.floats(allow_nan=False, allow_infinity=False)
_CELL = _NUMBER | st.none() | st.booleans() | st.sampled_from(["", "],[", '"],["', "}, {", "[[1]]", "\\", "é😀"])
_COLUMNS = st.lists(st.lists(_NUMBER | _CELL, min_size=2, max_size=2), max_size=12) | st.lists(
    st.lists(_NUMBER, min_size=2, max_size=2), min_size=4, max_size=12
)
_RECORDS = st.lists(st.fixed_dictionaries({"a": _CELL, "b": _NUMBER}), max_size=12) | st.lists(
    st.fixed_dictionaries({"a": _NUMBER}, optional={"b": _NUMBER})
    | st.fixed_dictionaries({"b": _NUMBER}, optional={"a": _NUMBER}),
    min_size=4,
    max_size=12,
)


@settings(deadline=None, max_examples=150)
@given(
    st.tuples(st.sampled_from(["split", "inputs", "instances"]), _COLUMNS)
    | st.tuples(st.sampled_from(["dataframe_records", "inputs", "instances"]), _RECORDS),
    st.sampled_from([AB, TEXT_AND_NUMBER, ARRAY, None]),
    st.sampled_from([(",", ":"), (", ", ": "), ("\n , ", " : ")]),
    st.booleans(),
)
def test_pieces_are_what_the_whole_is(
    made: tuple[str, Any], schema: Schema | None, separators: tuple[str, str], first: bool
) -> None:
    envelope, rows = made
    value = {"dataframe_split": {"data": rows, "columns": ["a", "b"]}} if envelope == "split" else {envelope: rows}
    document = {"params": {"x": "],["}, **value} if first else {**value, "params": {"x": 1}}
    body = json.dumps(document, separators=separators).encode()
    whole = read(body, schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "LARGE", 0)
        patch.setattr(row_pieces, "_PIECE", 20)
        assert read(body, schema) == whole


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("document", "schema"),
    [
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 2.5]] * 20}}, AB),
        ({"dataframe_split": {"data": [[1, 2.5]] * 20}}, None),
        ({"dataframe_split": {"data": [[1, 2]] * 20 + [[1.5, 2]] * 20}}, None),
        ({"dataframe_records": [{"a": "x],[y", "b": 1}] * 20}, TEXT_AND_NUMBER),
        ({"inputs": [[1, 2]] * 20, "params": {"x": 1}}, ARRAY),
        ({"instances": [[[1, 2], [3, 4]]] * 20}, None),
    ],
)
def test_plain_rows_are_read_in_pieces(document: Any, schema: Schema | None) -> None:
    assert in_pieces(json.dumps(document).encode(), schema)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_split":{"data":[' + b"[1,2]," * 20 + b'[1,2]]},"dataframe_split":{"data":[]}}',
        b'{"dataframe_split":{"data":[' + b"[1,2]," * 20 + b'[1,2]],"data":[[3,4]]}}',
        b'{"params":{"data":[' + b"[1,2]," * 20 + b'[1,2]]},"inputs":[[1,2]]}',
        b'{"dataframe_split":{"data":[' + b"[1,2]," * 20 + b",[1,2]]}}",
        b'{"dataframe_split":{"data":[' + b"[1,2]," * 20 + b"[1,2]],",
        b'{"dataframe_split":{"data":[' + b"[1,2]," * 20 + b'[1,"a"]]}}',
        b'{"dataframe_split":{"data":[' + b"[1,2]," * 20 + b"[1,2,3]]}}",
        b'{"messages":1,"inputs":[' + b"[1,2]," * 20 + b"[1,2]]}",
        b'{"inputs":[' + b"[[1],2]," * 20 + b"[[1],2]]}",
    ],
)
def test_what_may_be_read_otherwise_is_read_whole(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_pieces(body, None)
    found = read(body, None)
    monkeypatch.setattr(codec, "LARGE", 1 << 40)
    assert read(body, None) == found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("later", [[{"b": 2, "a": 1}], [{"b": 2}, {"a": 1, "b": 2}]])
def test_an_array_has_the_columns_of_records_in_one_order(later: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_pieces, "_PIECE", 30)
    body = json.dumps({"dataframe_records": [{"a": 1, "b": 2}] * 4 + later * 4}).encode()
    found = read(body, ARRAY)
    monkeypatch.setattr(codec, "LARGE", 1 << 40)
    assert read(body, ARRAY) == found


@pytest.mark.usefixtures("small")
def test_no_pattern_is_made_of_endless_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_pieces, "_between", lambda depth: pytest.fail(f"a pattern of {depth} brackets"))
    assert row_pieces.RowPieces.of(b'{"inputs":' + b"[" * 1000) is None


@pytest.mark.usefixtures("small")
def test_a_piece_that_is_too_large_by_itself_is_judged_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "LARGE", 2)  # so a piece may have 1,025 cells
    wide = [0] * 2000
    body = json.dumps({"dataframe_split": {"data": [wide, wide]}}).encode()
    reader = MlflowCodec(None, frames=False, on_loop=False)
    assert reader.read(JSON, body).payload.rows == 2


@pytest.mark.usefixtures("small")
def test_params_beside_pieces_keep_their_digits() -> None:
    body = json.dumps({"params": {"x": 2**70}, "inputs": [[1, 2]] * 20}).encode()
    assert in_pieces(body, ARRAY)
    assert BodyReader(Signature(ARRAY), frames=False).read(JSON, body).params == {"x": 2**70}


def test_numbers_in_pieces_take_little_more_than_their_text() -> None:
    body = json.dumps({"dataframe_split": {"columns": ["a", "b"], "data": [[1.25, 2.25]] * 500_000}}).encode()
    tracemalloc.start()
    try:
        payload = BodyReader(Signature(AB), frames=False).read(JSON, body).payload
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert payload.rows == 500_000
    assert peak < 3 * len(body) + 30_000_000  # all of them as Python objects take 12 times the text


def test_the_largest_bodies_have_a_cell_for_each_four_bytes() -> None:
    body = b'{"dataframe_split":{"data":[' + b"[1,2,3,4]," * 150_000 + b"[1,2,3,4]]}}"
    with pytest.raises(InputTooLarge, match="max_body_bytes"):
        MlflowCodec(None, frames=False, max_body_bytes=len(body), on_loop=False).read(JSON, body)
    payload = MlflowCodec(None, frames=False, max_body_bytes=2 * len(body), on_loop=False).read(JSON, body).payload
    assert payload.rows == 150_001
