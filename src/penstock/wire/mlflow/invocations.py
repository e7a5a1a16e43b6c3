"""MLflow's JSON bodies to payloads: dataframe_split, dataframe_records, inputs, instances, and the unwrapped form.

Source: the scoring protocol of `mlflow models serve`, 2.0 to 3.x.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import orjson

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import Payload, Table, Tensors, Value, Violation, shortened
from penstock.signature import ArrayOf, Casting, Field, ObjectOf, Scalar, Schema, Signature, is_tensor_schema
from penstock.wire.budget import Budget
from penstock.wire.decoded import Decoded
from penstock.wire.json_memory import fits_orjson
from penstock.wire.json_rows import array_of, table_of_columns, table_of_records, table_of_rows
from penstock.wire.json_sizes import MAX_NESTING, check_rows, is_too_nested

ENVELOPES = ("dataframe_split", "dataframe_records", "inputs", "instances")
UNWRAPPED_KEYS = ("messages", "prompt", "input")


def parse_json(body: bytes, *, exact: bool = False) -> Any:
    """orjson; where it refuses, or has too little memory, Python's json decides (NaN words, byte order marks, UTF-16).
    With `exact` a number past the range of doubles is infinite. Raises MalformedInput, MemoryError where this process
    has less left than the body takes."""
    refused: ValueError | None = None
    if fits_orjson(body):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            refused = error
    try:
        return json.loads(body, parse_float=float if exact else finite)
    except (ValueError, RecursionError) as error:
        if not body.strip():
            raise MalformedInput("The body is empty.", hint=_hint()) from None
        raise MalformedInput(f"The body is not valid JSON: {refused or error}.") from None


_LONG_NUMBER = re.compile(rb"(?<![.\d])\d{19}")
# To look for so many digits first takes a tenth of the time, and few bodies have them.
_DIGITS_AS_ZERO = bytes(ord("0") if chr(byte) in "0123456789" else ord(" ") for byte in range(256))
_MANY_DIGITS = b"0" * 19


def with_long_numbers(body: bytes, document: dict[str, Any], *, exact: bool = False) -> dict[str, Any]:
    """The document with whole numbers past 64 bits as they are, of which orjson makes floats; `exact` as in
    `parse_json`. Raises MalformedInput, MemoryError."""
    if _MANY_DIGITS not in body.translate(_DIGITS_AS_ZERO) or _LONG_NUMBER.search(body) is None:
        return document
    try:
        return json.loads(body, parse_float=float if exact else finite)  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"The body is not valid JSON: {error}.") from None


def finite(text: str) -> float:
    """A number as written; one past the range of doubles is no infinity that anybody meant."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{shortened(text)} is out of range")
    return value


def decode_json(body: bytes, signature: Signature | None, budget: Budget | None = None) -> Decoded:
    """Reads a request body for a model with this signature; one that a stranger wrote within a budget. Raises
    MalformedInput, InputTooLarge."""
    document = read_object(body)
    if budget is not None:
        _check_sizes(body, document, budget)
    if is_unwrapped(document):
        value, params = split_unwrapped(document, signature)
        return decode_unwrapped(value, params, signature.enforced if signature is not None else None)
    if signature is not None and signature.hinted:
        return decode_hinted(document)
    envelope = envelope_of(document)
    return decode_envelope(envelope, document[envelope], document.get("params"), signature)


def _check_sizes(body: bytes, document: dict[str, Any], budget: Budget) -> None:
    """Raises MalformedInput, InputTooLarge."""
    if is_too_nested(body, document):
        raise MalformedInput(f"Lists or objects are more than {MAX_NESTING} deep inside of each other.")
    for envelope in document.keys() & ENVELOPES:
        check_rows(rows_under(envelope, document[envelope]), budget)


def rows_under(envelope: str, value: Any) -> Any:
    """The rows in an envelope, where it has any."""
    return value.get("data") if envelope == "dataframe_split" and isinstance(value, dict) else value


def read_object(body: bytes, *, exact: bool = False) -> dict[str, Any]:
    """The JSON object that a body is; `exact` as in `parse_json`. Raises MalformedInput."""
    document = parse_json(body, exact=exact)
    if not isinstance(document, dict):
        raise MalformedInput(f"The body must be a JSON object, not {shortened(document)}.", hint=_hint())
    return document


def is_unwrapped(document: dict[str, Any]) -> bool:
    """Whether the whole object is the input: a chat-shaped body, whatever else is in it."""
    return any(key in document for key in UNWRAPPED_KEYS)


def envelope_of(document: dict[str, Any]) -> str:
    """The one envelope that the object has. Raises MalformedInput."""
    found = [key for key in ENVELOPES if key in document]
    if len(found) == 1:
        return found[0]
    names = ", ".join(map(shortened, list(document)[:5]))
    problem = f"has {' and '.join(found)}" if found else f"has only other keys ({names})"
    raise MalformedInput(f"The body must have exactly one of {', '.join(ENVELOPES)}, but {problem}.", hint=_hint())


def decode_envelope(envelope: str, value: Any, params: Any, signature: Signature | None) -> Decoded:
    """What one envelope holds. Raises MalformedInput."""
    payload, casting = _ENVELOPES[envelope](value, signature.inputs if signature is not None else None)
    return Decoded(payload, params, casting)


def _hint() -> str:
    return 'For example: {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0]]}} or {"inputs": [[1.0, 2.0]]}'


def decode_hinted(document: dict[str, Any]) -> Decoded:
    """A model with a type hint checks its input itself, and takes it under one name alone."""
    if "inputs" not in document:
        raise SchemaViolation([Violation("a model with a type hint takes its input under 'inputs'")])
    return Decoded(Value(document["inputs"]), document.get("params"), Casting.TENSOR)


def decode_unwrapped(value: dict[str, Any], params: Any, schema: Schema | None) -> Decoded:
    """A chat-shaped body, as columns where the model takes some. Raises SchemaViolation."""
    columns = schema and not is_tensor_schema(schema)
    payload: Payload = _rows_of_object(value, schema) if schema and columns else Value(value)
    return Decoded(payload, params, Casting.TYPED, wrapped=False)


def split_unwrapped(document: dict[str, Any], signature: Signature | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """A chat-shaped body as its input and the params that the signature names."""
    names = {p.name for p in signature.params} if signature is not None else set()
    value = {key: value for key, value in document.items() if key not in names}
    return value, {key: value for key, value in document.items() if key in names}


def _rows_of_object(value: dict[str, Any], schema: Schema) -> Table:
    """One row, where the schema nests or every value could be a cell; else columns. Raises SchemaViolation."""
    nested = any(isinstance(f, Field) and isinstance(f.type, (ArrayOf, ObjectOf)) for f in schema)
    if nested or all(_is_cell(v) for v in value.values()):
        return table_of_records([value], schema)
    if not all(isinstance(v, list) for v in value.values()):
        raise SchemaViolation([Violation("the values must be all single values (one row) or all lists (columns)")])
    return table_of_columns(value)


def _is_cell(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return not isinstance(value, dict)


def _split(value: Any, schema: Schema | None) -> tuple[Payload, Casting]:
    if not isinstance(value, dict) or "data" not in value:
        raise MalformedInput("dataframe_split must be an object with 'data' and, for named columns, 'columns'.")
    if unknown := value.keys() - {"data", "columns", "index"}:
        raise MalformedInput(f"dataframe_split has unknown keys: {', '.join(map(shortened, sorted(unknown)[:5]))}.")
    columns = value.get("columns")
    if columns is not None and (
        not isinstance(columns, list) or not all(isinstance(n, (str, int)) and not isinstance(n, bool) for n in columns)
    ):
        raise MalformedInput("The columns of dataframe_split must be a list of names.")
    return table_of_rows(columns, value["data"], schema, value.get("index")), Casting.FRAME


def _records(value: Any, schema: Schema | None) -> tuple[Payload, Casting]:
    if not isinstance(value, list):
        raise MalformedInput(f"dataframe_records must be a list of objects, not {shortened(value)}.")
    return table_of_records(value, schema), Casting.FRAME


def _instances(value: Any, schema: Schema | None) -> tuple[Payload, Casting]:
    """A list of objects is turned column-wise; anything else is read as inputs are."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _by_columns(table_of_records(value, schema), value, schema), Casting.TENSOR
    return _inputs(value, schema)


def _by_columns(table: Table, records: list[dict[str, Any]], schema: Schema | None) -> Payload:
    if schema is not None and not is_tensor_schema(schema):
        return table
    lists = {name: [record.get(name) for record in records] for name in map(str, table.names or ())}
    return Tensors.named({name: array_of(cells, _dtype(schema, name)) for name, cells in lists.items()})


def _inputs(value: Any, schema: Schema | None) -> tuple[Payload, Casting]:
    if schema is not None and not is_tensor_schema(schema):
        return _column_inputs(value, schema), Casting.TENSOR
    if isinstance(value, dict):
        return Tensors.named({name: array_of(v, _dtype(schema, name)) for name, v in value.items()}), Casting.TENSOR
    return Tensors.single(array_of(value, _dtype(schema, None))), Casting.TENSOR


def _dtype(schema: Schema | None, name: object) -> Any:
    """The dtype that a tensor schema asks of an array."""
    if schema is None or not is_tensor_schema(schema):
        return None
    return next((f.dtype for f in schema if f.name == name or len(schema) == 1), None)


def _column_inputs(value: Any, schema: Schema) -> Payload:
    """`inputs` for a model that takes columns: a dict of columns, one row as a dict, a list of rows, or bare rows."""
    if isinstance(value, dict):
        compound = any(isinstance(f, Field) and not isinstance(f.type, Scalar) for f in schema)
        if compound or not any(isinstance(cells, list) for cells in value.values()):
            return table_of_records([value], schema)
        if not all(isinstance(cells, list) for cells in value.values()):
            raise MalformedInput("The values under inputs must be all lists (columns) or all single values (one row).")
        return table_of_columns(value)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return table_of_records(value, schema)
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value) and len(schema) > 1:
        return table_of_rows(None, value, schema)
    if isinstance(value, list):
        return Tensors.single(array_of(value, exact=True))
    return Value(value)


_ENVELOPES: dict[str, Callable[[Any, Schema | None], tuple[Payload, Casting]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "inputs": _inputs,
    "instances": _instances,
}
