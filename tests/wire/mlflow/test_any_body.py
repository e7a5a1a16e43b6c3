"""Whatever the body, it is decoded or malformed; and the same rows in any envelope are the same table."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import Payload, Table, Tensors, Value, Violation
from penstock.signature import (
    AnyValue,
    ArrayOf,
    Field,
    MapOf,
    ObjectOf,
    Param,
    Property,
    Scalar,
    Signature,
    TensorField,
    conform,
    conform_params,
)
from penstock.wire.mlflow.answers import encode_answer
from penstock.wire.mlflow.invocations import decode_json

DOUBLES = Signature((Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE)))
MIXED = Signature((Field("a", Scalar.DOUBLE), Field("n", Scalar.LONG), Field("s", Scalar.STRING)))
TENSOR = Signature((TensorField(None, np.dtype("float32"), (-1, 2)),))
INTS = Signature((TensorField(None, np.dtype("int64"), (-1,)),))
NAMED = Signature(
    (TensorField("x", np.dtype("float32"), (-1, 2)), TensorField("y", np.dtype("int64"), (-1,))),
)
WITH_PARAMS = Signature(DOUBLES.inputs, None, (Param("temperature", Scalar.DOUBLE, 0.5),))
SIGNATURES: list[Signature | None] = [
    None,
    Signature(),
    DOUBLES,
    MIXED,
    TENSOR,
    INTS,
    NAMED,
    WITH_PARAMS,
    Signature((Field(None, Scalar.STRING),)),
    Signature((Field("b", Scalar.BINARY), Field("t", Scalar.DATETIME), Field("o", Scalar.BOOLEAN, required=False))),
    Signature((Field("l", ArrayOf(Scalar.DOUBLE)), Field("m", MapOf(Scalar.LONG), required=False))),
    Signature((Field("o", ObjectOf((Property("k", Scalar.LONG),))), Field("x", AnyValue(), required=False))),
    Signature((Field(0, Scalar.DOUBLE), Field(1, Scalar.DOUBLE))),
    Signature((TensorField(None, np.dtype("U"), (-1,)),)),
    Signature((TensorField("x", np.dtype("bool"), (-1, 1)),)),
    Signature((TensorField(None, np.dtype("O"), (-1,)),)),
]


def conformed(document: Any, signature: Signature) -> Payload:
    decoded = decode_json(json.dumps(document).encode(), signature)
    result = conform(decoded.payload, signature.inputs, decoded.casting)
    assert result.violations == ()
    return result.payload


def columns(payload: Payload) -> dict[Any, list[Any]]:
    assert isinstance(payload, Table)
    return dict(zip(payload.names or (), [c.tolist() for c in payload.iter_columns()], strict=True))


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1e400", "", "true", "2026-01-02", "YWI=", "a", "b"])
)
keys = st.sampled_from(["a", "b", "n", "s", "x", "y", "l", "0", "data", "columns", "index"]) | st.text(max_size=3)
values = st.recursive(leaves, lambda i: st.lists(i, max_size=4) | st.dictionaries(keys, i, max_size=4), max_leaves=12)
envelope_keys = st.sampled_from(["dataframe_split", "dataframe_records", "inputs", "instances", "params", "prompt"])
splits = st.fixed_dictionaries(
    {"data": st.lists(st.lists(leaves, min_size=2, max_size=2), max_size=4) | values},
    optional={"columns": st.just(["a", "b"]) | st.lists(leaves, max_size=3), "index": st.lists(leaves, max_size=3)},
)
documents = (
    values
    | st.dictionaries(envelope_keys, values, max_size=3)
    | st.fixed_dictionaries({"dataframe_split": splits})
    | st.fixed_dictionaries({"dataframe_records": st.lists(st.dictionaries(keys, leaves, max_size=4), max_size=4)})
    | st.fixed_dictionaries({"inputs": st.lists(st.lists(leaves, min_size=2, max_size=2), max_size=4)})
    | st.fixed_dictionaries({"instances": st.lists(st.dictionaries(keys, leaves, max_size=3), max_size=4)})
    | st.fixed_dictionaries({"inputs": st.dictionaries(keys, st.lists(leaves, max_size=3), max_size=4)})
)


def drive(body: bytes, signature: Signature | None) -> None:
    """As the gateway does: each step either works or raises an error of the caller's."""
    message: str | None
    try:
        decoded = decode_json(body, signature)
    except (MalformedInput, SchemaViolation) as error:
        message = error.message
    else:
        message = None
    if message is not None:
        assert 0 < len(message) < 1500
        orjson.dumps(message)  # it can be sent
        return
    assert isinstance(decoded.payload, (Table, Tensors, Value))
    result = conform(decoded.payload, signature.inputs if signature else None, decoded.casting)
    for violation in result.violations:
        assert isinstance(violation, Violation)
        orjson.dumps(str(violation))
    with suppress(SchemaViolation):
        conform_params(signature.params if signature else (), decoded.params)
    if not result.violations and not isinstance(result.payload, Value):
        assert result.payload.layout == result.payload.layout
        hash(result.payload.layout)
        if (rows := result.payload.rows) is not None:
            assert result.payload.take(slice(0, 1)).rows == min(rows, 1)


@settings(max_examples=500, deadline=None)
@given(documents, st.sampled_from(SIGNATURES))
@example({"dataframe_split": {"columns": ["b", "t"], "data": [["é", 2**63]]}}, SIGNATURES[9])
@example({"inputs": {"b": ["YWI"], "t": ["0001-01-01T00:00+05:00"]}}, SIGNATURES[9])
@example({"dataframe_split": {"data": [[float("nan")], [10**400]]}}, None)
@example({"inputs": "1a"}, TENSOR)
@example({"instances": [{}]}, None)
@example({"inputs": {}}, TENSOR)
@example({"\ud800": 1}, None)
@example({"inputs": {"\ud800": [1], "a": []}}, DOUBLES)
def test_any_document_is_decoded_or_malformed(document: Any, signature: Signature | None) -> None:
    drive(json.dumps(document).encode(), signature)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(SIGNATURES))
def test_any_bytes_are_decoded_or_malformed(body: bytes, signature: Signature | None) -> None:
    drive(body, signature)


@settings(max_examples=150, deadline=None)
@given(documents, st.sampled_from(SIGNATURES), st.data())
def test_a_damaged_document_is_decoded_or_malformed(document: Any, signature: Signature | None, data: Any) -> None:
    body = bytearray(json.dumps(document).encode())
    if body:
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    drive(bytes(body), signature)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53)), max_size=6))
def test_the_same_rows_in_every_envelope_are_the_same_table(rows: list[tuple[float, int]]) -> None:
    signature = Signature((Field("a", Scalar.DOUBLE), Field("b", Scalar.LONG)))
    split = {"dataframe_split": {"columns": ["b", "a"], "data": [[b, a] for a, b in rows]}}
    records = [{"a": a, "b": b} for a, b in rows]
    expected = {"a": [a for a, _ in rows], "b": [b for _, b in rows]}
    bodies: list[Any] = [split, {"inputs": expected}]
    bodies += [{"dataframe_records": records}, {"inputs": records}, {"instances": records}] if rows else []
    for body in bodies:
        assert columns(conformed(body, signature)) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2), min_size=1, max_size=5))
def test_arrays_come_back_from_an_answer_as_they_were_sent(rows: list[list[float]]) -> None:
    payload = conformed({"inputs": rows}, TENSOR)
    answer = orjson.loads(encode_answer(payload))["predictions"]
    assert answer == [[None if abs(v) == np.inf else v for v in row] for row in rows]
