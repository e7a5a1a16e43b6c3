"""Payloads to JSON answers, with the values that MLflow's scoring server would give.

The one difference: a missing or infinite number is `null`, since the words NaN and Infinity are not JSON.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

import numpy as np
import orjson

from penstock.error_text import kind_of, text_of
from penstock.errors import AnswerUnserializable
from penstock.payload import Array, Payload, Table, Tensors, clipped

_KEYS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
# Rows of a table that are made into objects at once: each takes some hundred bytes until it is written.
_PIECE_ROWS = 16 * 1024
# Only for plain arrays of numbers: left to itself orjson prints a narrow float with fewer digits than MLflow does.
_ARRAYS = _KEYS | orjson.OPT_SERIALIZE_NUMPY


def encode_answer(payload: Payload, *, wrapped: bool = True, nan_words: bool = False) -> bytes:
    """The response body: {"predictions": …}, or the bare prediction. `nan_words` writes what is not finite as MLflow
    does, NaN and Infinity, which is no JSON. Raises AnswerUnserializable."""
    if nan_words:
        return _dump_plain(_all_values(payload, wrapped), nan_words=True).encode()
    if isinstance(payload, Table) and payload.rows > _PIECE_ROWS:
        rows = _rows_in_pieces(payload)
        return b'{"predictions":%b}' % rows if wrapped else rows
    value = as_json_value(payload)
    return dump_json({"predictions": value} if wrapped else value)


def encode_with_words(payload: Payload, *, wrapped: bool = True) -> bytes:
    """The same as with `nan_words`, by the quick writer where it comes to the same: what that writes as null may have
    been any of them. Raises AnswerUnserializable."""
    quick = encode_answer(payload, wrapped=wrapped)
    return encode_answer(payload, wrapped=wrapped, nan_words=True) if b"null" in quick else quick


def _rows_in_pieces(table: Table) -> bytes:
    """The same list of objects, of which a table of many rows would make many at once."""
    pieces = (table.take(slice(start, start + _PIECE_ROWS)) for start in range(0, table.rows, _PIECE_ROWS))
    return b"[%b]" % b",".join([dump_json(as_json_value(piece))[1:-1] for piece in pieces])


def answer_text(payload: Payload, *, wrapped: bool = True) -> str:
    """The same as MLflow's command writes it into a file: with those words, and a space behind each comma and colon.
    Raises AnswerUnserializable."""
    return _dump_plain(_all_values(payload, wrapped), nan_words=True, separators=(", ", ": "))


def _all_values(payload: Payload, wrapped: bool) -> Any:
    return {"predictions": _values(payload)} if wrapped else _values(payload)


def dump_json(value: Any) -> bytes:
    """JSON of plain values, arrays and what else models return. Raises AnswerUnserializable."""
    try:
        return orjson.dumps(value, default=plain_value, option=_KEYS)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, AnswerUnserializable):
            raise error.__cause__ from None
    return _dump_plain(value, nan_words=False).encode()  # whole numbers past 64 bits, halves of characters


def _dump_plain(value: Any, *, nan_words: bool, separators: tuple[str, str] = (",", ":")) -> str:
    """By Python's own writer, which is slower and takes more. Raises AnswerUnserializable."""
    try:
        return json.dumps(_plain(value, nan_words), separators=separators)
    except AnswerUnserializable:
        raise
    except Exception as error:  # objects of the model's own classes run their code when they are read
        reason = clipped(text_of(error)) or kind_of(error)
        raise AnswerUnserializable(f"The model's answer cannot be written as JSON: {reason}.") from None


def _plain(value: Any, nan_words: bool) -> Any:
    """The same in the types that Python's own writer knows. Raises AnswerUnserializable."""
    if isinstance(value, orjson.Fragment):
        return json.loads(orjson.dumps(value))
    if isinstance(value, np.ndarray):
        plain = value.dtype.kind in ("iubf" if nan_words else "iub") and value.dtype.itemsize <= 8
        return value.tolist() if plain else _plain(value.tolist(), nan_words)
    if isinstance(value, dict):
        return {key: _plain(item, nan_words) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, nan_words) for item in value]
    if isinstance(value, float):
        return value if nan_words or math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    return _plain(plain_value(value), nan_words)


def _values(payload: Payload) -> Any:
    """The payload's values, arrays among them."""
    if isinstance(payload, Tensors):
        return payload.arrays[0] if payload.names is None else payload.mapping()
    return as_json_value(payload)


def as_json_value(payload: Payload) -> Any:
    """What `dump_json` takes for a payload."""
    if isinstance(payload, Tensors):
        if payload.names is None:
            return _array(payload.arrays[0])
        return {name: _array(array) for name, array in payload.mapping().items()}
    if isinstance(payload, Table):
        names = [str(n) for n in (payload.names if payload.names is not None else range(payload.width))]
        return [dict(zip(names, row, strict=True)) for row in rows_of(payload)]
    if isinstance(payload.value, dict):
        return {_KEY_WORDS.get(str(key), key) if isinstance(key, float) else key: v for key, v in payload.value.items()}
    return payload.value


# As Python's own writer spells such keys.
_KEY_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _array(array: Array) -> Any:
    """The array's JSON text where orjson writes all of it, else its values for orjson to go through."""
    if array.dtype.kind in "iubf" and array.ndim:
        # Every digit of a narrow float, as Python prints it once widened; not the shortest that reads back narrow.
        dtype = np.dtype(np.float64) if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        return orjson.Fragment(orjson.dumps(np.ascontiguousarray(array, dtype=dtype), option=_ARRAYS))
    return array.tolist()


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    """The rows as tuples of plain cells; moments as ISO 8601 text."""
    if not table.width:
        return [() for _ in range(table.rows)]
    return list(zip(*(_cells(column) for column in table.iter_columns()), strict=True))


def _cells(column: Array) -> list[Any]:
    if column.dtype.kind == "M":
        return ["NaT" if np.isnat(cell) else moment_text(cell) for cell in column]
    return list(column.tolist())


def moment_text(cell: np.datetime64) -> str:
    """ISO 8601 as pandas' Timestamp.isoformat: nanoseconds only where there are any."""
    text = str(
        cell.astype("datetime64[s]") if np.datetime_data(cell.dtype)[0] in ("Y", "M", "W", "D", "h", "m") else cell
    )
    seconds, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if not fraction:
        return seconds
    return f"{seconds}.{fraction:0<6}" if len(fraction) <= 6 else f"{seconds}.{fraction:0<9}"


def plain_value(value: Any) -> Any:
    """What stands for a value that JSON has no form for. Raises AnswerUnserializable, which names the type."""
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    if callable(dump := getattr(value, "model_dump", None)):
        return dump()
    if hasattr(value, "to_dict") and hasattr(value, "dtypes"):
        raise AnswerUnserializable(
            "The model's answer holds a DataFrame inside another value; it cannot be written as JSON."
        )
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise AnswerUnserializable(f"The model's answer holds a {kind}, which cannot be written as JSON.")


def answer_value(payload: Payload) -> Any:
    """The prediction as plain Python values, as a client would read them back."""
    return orjson.loads(encode_answer(payload))["predictions"]
