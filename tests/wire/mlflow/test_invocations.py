"""MLflow's JSON bodies: every envelope as it is meant, every other body as one clear error."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hostile.shapes import compact
from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import Payload, Table, Tensors, Value
from penstock.signature import (
    ArrayOf,
    Casting,
    Field,
    Param,
    Scalar,
    Signature,
    TensorField,
    conform,
)
from penstock.wire.decoded import Decoded
from penstock.wire.mlflow.invocations import decode_json, parse_json, with_long_numbers

DOUBLES = Signature((Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE)))
MIXED = Signature((Field("a", Scalar.DOUBLE), Field("n", Scalar.LONG), Field("s", Scalar.STRING)))
TENSOR = Signature((TensorField(None, np.dtype("float32"), (-1, 2)),))
INTS = Signature((TensorField(None, np.dtype("int64"), (-1,)),))
NAMED = Signature(
    (TensorField("x", np.dtype("float32"), (-1, 2)), TensorField("y", np.dtype("int64"), (-1,))),
)
WITH_PARAMS = Signature(DOUBLES.inputs, None, (Param("temperature", Scalar.DOUBLE, 0.5),))


def decode(document: Any, signature: Signature | None = None) -> Decoded:
    return decode_json(document if isinstance(document, bytes) else json.dumps(document).encode(), signature)


def conformed(document: Any, signature: Signature) -> Payload:
    decoded = decode(document, signature)
    result = conform(decoded.payload, signature.inputs, decoded.casting)
    if result.violations:
        raise SchemaViolation(result.violations)
    return result.payload


def columns(payload: Payload) -> dict[Any, list[Any]]:
    assert isinstance(payload, Table)
    names = payload.names if payload.names is not None else range(payload.width)
    return {n: c.tolist() for n, c in zip(names, payload.iter_columns(), strict=True)}


# the envelopes


def test_dataframe_split_is_a_table_in_one_block_with_its_index() -> None:
    decoded = decode({"dataframe_split": {"columns": ["a", "b"], "index": [7, 8], "data": [[1, 2.5], [3, 4]]}}, DOUBLES)
    assert decoded.casting is Casting.FRAME
    assert decoded.wrapped
    assert isinstance(decoded.payload, Table)
    assert decoded.payload.block is not None  # straight from JSON into one block
    assert decoded.payload.block.tolist() == [[1.0, 2.5], [3.0, 4.0]]
    assert decoded.payload.index is not None
    assert decoded.payload.index.tolist() == [7, 8]


def test_dataframe_split_without_columns_has_numbered_ones() -> None:
    assert columns(decode({"dataframe_split": {"data": [[1, "x"]]}}).payload) == {0: [1], 1: ["x"]}
    assert columns(decode({"dataframe_split": {"columns": [0, 1], "data": [[1, 2]]}}).payload) == {0: [1], 1: [2]}
    assert columns(decode({"dataframe_split": {"columns": ["a"], "data": []}}).payload) == {"a": []}


def test_dataframe_records_are_a_table_with_columns_as_first_seen() -> None:
    decoded = decode({"dataframe_records": [{"a": 1, "s": "x"}, {"n": 2, "a": 3}]}, MIXED)
    assert decoded.casting is Casting.FRAME
    assert columns(decoded.payload) == {"a": [1, 3], "s": ["x", None], "n": [None, 2]}  # in the order first seen
    assert columns(decode({"dataframe_records": [[1, 2], [3, 4]]}).payload) == {0: [1, 3], 1: [2, 4]}
    assert columns(decode({"dataframe_records": []}).payload) == {}


@pytest.mark.parametrize("envelope", ["inputs", "instances"])
def test_lists_and_dicts_are_arrays_for_a_model_of_arrays(envelope: str) -> None:
    decoded = decode({envelope: [[1, 2], [3, 4]]}, TENSOR)
    assert decoded.casting is Casting.TENSOR
    assert isinstance(decoded.payload, Tensors)
    assert decoded.payload.arrays[0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    named = decode({envelope: {"x": [[1, 2]], "y": [3]}}, NAMED).payload
    assert isinstance(named, Tensors)
    assert {n: a.tolist() for n, a in named.mapping().items()} == {"x": [[1.0, 2.0]], "y": [3]}


def test_instances_of_objects_are_turned_by_column() -> None:
    payload = decode({"instances": [{"x": [1, 2], "y": 3}, {"x": [4, 5], "y": 6}]}, NAMED).payload
    assert isinstance(payload, Tensors)
    assert {n: a.tolist() for n, a in payload.mapping().items()} == {"x": [[1, 2], [4, 5]], "y": [3, 6]}
    assert columns(decode({"instances": [{"a": 1, "b": 2}]}, DOUBLES).payload) == {"a": [1.0], "b": [2.0]}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"a": [1, 2], "b": [3, 4.5]}, {"a": [1.0, 2.0], "b": [3.0, 4.5]}),
        ({"a": 1, "b": 2}, {"a": [1.0], "b": [2.0]}),
        ([{"a": 1, "b": 2}, {"b": 4, "a": 3}], {"a": [1.0, 3.0], "b": [2.0, 4.0]}),
    ],
)
def test_inputs_are_columns_for_a_model_of_columns(inputs: Any, expected: Any) -> None:
    assert columns(conformed({"inputs": inputs}, DOUBLES)) == expected


def test_a_bare_list_is_the_only_column() -> None:
    one = Signature((Field("a", Scalar.LONG),))
    assert columns(conformed({"inputs": [1, 2]}, one)) == {"a": [1, 2]}
    assert columns(conformed({"inputs": ["7"]}, one)) == {"a": [7]}
    assert columns(conformed({"inputs": []}, one)) == {"a": []}
    with pytest.raises(SchemaViolation):
        conformed({"inputs": "7"}, one)


def test_rows_fill_unnamed_and_numbered_columns_in_order() -> None:
    unnamed = Signature((Field(None, Scalar.DOUBLE), Field(None, Scalar.STRING)))
    assert columns(conformed({"inputs": [[1, "x"]]}, unnamed)) == {0: [1.0], 1: ["x"]}
    numbered = Signature((Field(0, Scalar.DOUBLE), Field(1, Scalar.STRING)))
    for body in ({"inputs": [[1, "x"]]}, {"dataframe_split": {"data": [[1, "x"]]}}):
        assert columns(conformed(body, numbered)) == {0: [1.0], 1: ["x"]}


def test_a_dict_for_a_model_with_compound_columns_is_one_row() -> None:
    signature = Signature((Field("l", ArrayOf(Scalar.LONG)), Field("s", Scalar.STRING)))
    assert columns(conformed({"inputs": {"l": [1, 2], "s": "x"}}, signature)) == {"l": [[1, 2]], "s": ["x"]}


@pytest.mark.parametrize("key", ["messages", "prompt", "input"])
def test_an_unwrapped_chat_body_is_one_value_without_its_params(key: str) -> None:
    body = {key: [{"role": "user"}], "temperature": 0.1, "params": {"x": 1}, "dataframe_split": {}}
    decoded = decode(body, Signature(None, None, (Param("temperature", Scalar.DOUBLE, 1.0),)))
    assert not decoded.wrapped
    assert decoded.params == {"temperature": 0.1}
    assert isinstance(decoded.payload, Value)
    assert decoded.payload.value == {key: [{"role": "user"}], "params": {"x": 1}, "dataframe_split": {}}
    assert decode(body).params == {}, "as MLflow has it"


def test_params_are_read_and_unknown_keys_are_left_aside() -> None:
    decoded = decode({"inputs": [1], "params": {"temperature": 1}, "signature_name": "x"}, WITH_PARAMS)
    assert decoded.params == {"temperature": 1}
    assert decode({"inputs": [1], "params": 5}).params == 5  # judged where the params schema is known


# reading JSON


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [NaN, Infinity, -Infinity, 1]}',
        b'\xef\xbb\xbf{"inputs": [NaN, Infinity, -Infinity, 1]}',
        '{"inputs": [NaN, Infinity, -Infinity, 1]}'.encode("utf-16"),
        '{"inputs": [NaN, Infinity, -Infinity, 1]}'.encode("utf-32"),
        b'{"inputs": 3, "inputs": [NaN, Infinity, -Infinity, 1]}',  # the last of equal keys wins
    ],
)
def test_what_pythons_json_reads_is_read(body: bytes) -> None:
    payload = decode_json(body, None).payload
    assert isinstance(payload, Tensors)
    assert np.array_equal(payload.arrays[0], [np.nan, np.inf, -np.inf, 1], equal_nan=True)


def test_a_number_past_the_range_is_no_infinity() -> None:
    with pytest.raises(MalformedInput, match="JSON"):
        parse_json(b"[1e400]")
    assert parse_json(b"[1e308, -0.0]") == [1e308, -0.0]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "not valid JSON"),
        (b"\x00\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[1, 2]", "must be a JSON object"),
        (b"3", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[" * 1000 + b"]" * 1000, "must be a JSON object"),
        (b"{}", "exactly one of"),
        (b'{"columns": [], "data": []}', "exactly one of .*'columns', 'data'"),
        (b'{"inputs": [1], "instances": [1]}', "has inputs and instances"),
        (b'{"' + b"k" * 5000 + b'": 1}', "exactly one of"),
        (b'{"dataframe_split": [1]}', "object with 'data'"),
        (b'{"dataframe_split": {"columns": ["a"]}}', "object with 'data'"),
        (b'{"dataframe_split": {"data": [[1]], "extra": 1, "dtype": 2}}', "unknown keys: 'dtype', 'extra'"),
        (b'{"dataframe_split": {"data": 5}}', "list of lists"),
        (b'{"dataframe_split": {"data": "ab"}}', "list of lists"),
        (b'{"dataframe_split": {"columns": "ab", "data": [[1, 2]]}}', "list of names"),
        (b'{"dataframe_split": {"columns": [1.5], "data": [[1]]}}', "list of names"),
        (b'{"dataframe_split": {"columns": [true], "data": [[1]]}}', "list of names"),
        (b'{"dataframe_split": {"columns": [["a"]], "data": [[1]]}}', "list of names"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', "1 column names, but the rows have 2"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2], [3]]}}', "1 column names, but the rows have 2"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1], 2]}}', "Row 1"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [1, [2]]}}', "Every row must be a list"),
        (b'{"dataframe_split": {"data": [[1]], "index": [1, 2]}}', "index must be a list of 1"),
        (b'{"dataframe_split": {"data": [[1]], "index": 5}}', "index must be a list of 1"),
        (b'{"dataframe_records": {"a": 1}}', "list of objects"),
        (b'{"dataframe_records": [{"a": 1}, 5]}', "Record 1 must be an object"),
        (b'{"dataframe_records": [5]}', "Record 0 must be an object"),
        (b'{"dataframe_records": [{"a": 1}, [1]]}', "Record 1"),
    ],
)
def test_what_is_malformed_is_said_in_one_sentence(body: bytes, why: str) -> None:
    for signature in (None, DOUBLES, TENSOR):
        with pytest.raises(MalformedInput, match=why) as caught:
            decode_json(body, signature)
        assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"a": [1, 2], "b": [1]}, r"same length \('a': 2, 'b': 1\)"),
        ({"a": [1, 2], "b": 1}, r"all lists \(columns\)"),
    ],
)
def test_columns_of_different_lengths_are_refused(inputs: Any, why: str) -> None:
    with pytest.raises(MalformedInput, match=why):
        decode({"inputs": inputs}, DOUBLES)


# what must not be lost between JSON and the model


@pytest.mark.parametrize("large", [2**53 + 1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize(
    "body",
    [
        lambda n: {"dataframe_split": {"columns": ["n", "x"], "data": [[n, 0], [2.0, 0]]}},
        lambda n: {"dataframe_records": [{"n": n}, {"n": 2.0}]},
        lambda n: {"inputs": {"n": [n, 2.0]}},
        lambda n: {"inputs": [n, 2.0]},
        lambda n: {"inputs": [{"n": n}, {"n": 2.0}]},
        lambda n: {"instances": [{"n": n}, {"n": 2.0}]},
    ],
)
def test_large_whole_numbers_beside_floats_keep_their_digits(large: int, body: Any) -> None:
    assert columns(conformed(body(large), Signature((Field("n", Scalar.LONG),)))) == {"n": [large, 2]}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18446744073709551616", 2**64),
        ("-18446744073709551616", -(2**64)),
        ("1234567890123456789", 1234567890123456789),
        ("12345678901234567890e1", 12345678901234567890e1),
        ("0.12345678901234567890", 0.1234567890123456789),
        ("123456789012345678", 123456789012345678),
    ],
)
def test_whole_numbers_past_64_bits_keep_their_digits(text: str, number: float) -> None:
    body = f'{{"inputs": [{text}, "x"]}}'.encode()
    found = with_long_numbers(body, parse_json(body))["inputs"][0]
    assert (found, type(found)) == (number, type(number))


def test_a_long_text_is_looked_through_in_no_time_for_long_numbers() -> None:
    body = compact({"inputs": ["some words of 3 or 4, " * 100_000]})
    document = parse_json(body)

    def seconds(look: Callable[[], object]) -> float:
        start = time.thread_time()
        look()
        return time.thread_time() - start

    slowly = min(seconds(lambda: re.search(rb"(?<![.\d])\d{19}", body)) for _ in range(3))
    assert min(seconds(lambda: with_long_numbers(body, document)) for _ in range(3)) < slowly / 3


def test_large_whole_numbers_in_arrays_keep_their_digits() -> None:
    payload = conformed({"inputs": [2**53 + 1, 2.0]}, INTS)
    assert isinstance(payload, Tensors)
    assert payload.arrays[0].tolist() == [2**53 + 1, 2]
    with pytest.raises(SchemaViolation, match="out of range"):
        conformed({"inputs": [2**63, -1]}, INTS)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [["1e400", 1.0]]},
        {"inputs": [[1e39, 1.0]]},
        {"dataframe_split": {"data": [["1e400", 1.0]]}},
        {"instances": [["1e400", "1"]]},
    ],
)
def test_numbers_too_large_for_an_array_are_refused(body: Any) -> None:
    with pytest.raises(SchemaViolation, match="out of range"):
        conformed(body, TENSOR)


@pytest.mark.parametrize("values", [[["1e400", 1]], [["1e999", "2"]]])
def test_numbers_too_large_for_a_column_are_refused(values: Any) -> None:
    with pytest.raises(SchemaViolation, match=r"row 0, column 'a': '1e\d+' is out of range"):
        conformed({"dataframe_split": {"columns": ["a", "b"], "data": values}}, DOUBLES)


def test_infinity_itself_is_let_through() -> None:
    body = b'{"dataframe_split": {"columns": ["a", "b"], "data": [[Infinity, -Infinity], ["inf", NaN]]}}'
    got = columns(conformed(body, DOUBLES))
    assert got["a"] == [np.inf, np.inf]
    assert got["b"][0] == -np.inf
    assert np.isnan(got["b"][1])


def test_numbers_beside_text_in_arrays_are_not_made_text_before_the_schema_is_asked() -> None:
    payload = conformed({"inputs": [1, "a", None]}, Signature((TensorField(None, np.dtype("O"), (-1,)),)))
    assert isinstance(payload, Tensors)
    assert payload.arrays[0].tolist() == [1, "a", None]
