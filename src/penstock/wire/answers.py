"""Payloads to JSON answers, with the values that MLflow's scoring server would give.

The one difference: a missing or infinite number is `null`, since the words NaN and Infinity are not JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
import orjson

from penstock.errors import AnswerUnserializable
from penstock.payload import Array, Payload, Table, Tensors

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def encode_answer(payload: Payload, *, wrapped: bool = True) -> bytes:
    """The response body: {"predictions": …}, or the bare prediction. Raises AnswerUnserializable."""
    value = as_json_value(payload)
    try:
        return orjson.dumps({"predictions": value} if wrapped else value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        cause = error.__cause__ if isinstance(error.__cause__, AnswerUnserializable) else None
        raise cause or AnswerUnserializable(f"The model's answer cannot be written as JSON: {error}.") from None


def as_json_value(payload: Payload) -> Any:
    """What orjson is given: arrays stay arrays where it writes them as MLflow would."""
    if isinstance(payload, Tensors):
        if payload.names is None:
            return _array(payload.arrays[0])
        return {name: _array(array) for name, array in payload.mapping().items()}
    if isinstance(payload, Table):
        return _records(payload)
    return payload.value


def _array(array: Array) -> Any:
    if array.dtype.kind in "iub" or array.dtype == np.float64:
        return np.ascontiguousarray(array)
    if array.dtype.kind == "f":
        # Every digit of the narrow float, as Python prints it once widened; not the shortest that reads back narrow.
        return np.ascontiguousarray(array, dtype=np.float64)
    if array.dtype.kind == "M" and np.datetime_data(array.dtype)[0] in ("ns", "us"):
        return array.astype(np.int64)
    return array.tolist()


def _records(table: Table) -> list[dict[str, Any]]:
    names = [str(n) for n in (table.names if table.names is not None else range(table.width))]
    columns = [_cells(column) for column in table.iter_columns()]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _cells(column: Array) -> list[Any]:
    if column.dtype.kind == "M":
        return ["NaT" if np.isnat(cell) else _moment(cell) for cell in column]
    return list(column.tolist())


def _moment(cell: np.datetime64) -> str:
    """ISO 8601 as pandas' Timestamp.isoformat: nanoseconds only where there are any."""
    text = str(cell.astype("datetime64[ns]"))
    seconds, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if not fraction:
        return seconds
    return f"{seconds}.{fraction:0<6}" if len(fraction) <= 6 else f"{seconds}.{fraction:0<9}"


def _default(value: Any) -> Any:
    """What orjson does not know. Raises AnswerUnserializable, which names the type."""
    if isinstance(value, np.ndarray):
        return _array(value) if value.dtype.kind in "f" else value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return base64.encodebytes(value).decode()
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    if callable(dump := getattr(value, "model_dump", None)):
        return dump()
    if hasattr(value, "to_dict") and hasattr(value, "dtypes"):
        raise AnswerUnserializable("The model's answer holds a frame inside another value; JSON has no form for that.")
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise AnswerUnserializable(f"The model's answer holds a {kind}, which JSON has no form for.")


def answer_value(payload: Payload) -> Any:
    """The prediction as plain Python values, as a client would read them back."""
    return orjson.loads(encode_answer(payload))["predictions"]
