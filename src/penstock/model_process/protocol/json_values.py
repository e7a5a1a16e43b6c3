"""Values of Python as JSON text that gives the same values back: cells of object columns, opaque values, params.

What JSON has no form for is written as `{"$": kind, "v": …}`. Reading makes plain data of a few known kinds, and can
run nothing. Moments of pandas become its own again where pandas is loaded, else Python's. Arrays are
written as their bytes.
"""

from __future__ import annotations

import base64
import json
import math
import re
import sys
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson

from penstock.errors import AnswerUnserializable
from penstock.payload import Array, as_object_array
from penstock.wire.mlflow.answers import plain_value

_MARK = "$"
_SMALL = 1 << 63

# The dtypes that cross a process boundary as raw bytes: numbers, moments and text of fixed width. Nothing that holds a
# pointer.
_DTYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c(?:8|16)|[mM]8(?:\[[0-9]{0,9}[A-Za-zμ]{1,8}\])?|[SU][0-9]{1,9})")


def pack(value: Any) -> bytes:
    """A value as JSON text. Raises AnswerUnserializable for what has no form."""
    try:
        plain = value if _is_json(value) else _tagged(value)
        try:
            return orjson.dumps(plain)
        except orjson.JSONEncodeError:  # halves of characters, deep nesting
            return json.dumps(plain, separators=(",", ":")).encode()
    except RecursionError:
        raise AnswerUnserializable("The value is nested too deeply or contains itself.") from None


def unpack(text: bytes | bytearray | memoryview) -> Any:
    """The value again. Raises ValueError for what `pack` never writes."""
    try:
        try:
            plain = orjson.loads(text)
        except orjson.JSONDecodeError:
            plain = json.loads(bytes(text))
        return plain if _is_unmarked(plain) else _untagged(plain)
    except (RecursionError, KeyError, TypeError, OverflowError, InvalidOperation) as error:
        raise ValueError(f"invalid value: {type(error).__name__}: {error}") from None


def _is_json(value: Any) -> bool:
    """Whether JSON says it exactly. Looks at one after the other, however deep they are; at what is met twice no
    further, since it may hold itself."""
    left = [value]
    met: set[int] = set()
    while left:
        item = left.pop()
        kind = type(item)
        if kind is list or kind is dict:
            if id(item) in met:
                return False
            met.add(id(item))
        if kind is list:
            left += item
        elif kind is dict:
            if _MARK in item or not all(type(key) is str for key in item):
                return False
            left += item.values()
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif kind is int:
            if not -_SMALL <= item < _SMALL:
                return False
        elif item is not None and kind is not str and kind is not bool:
            return False
    return True


def _is_unmarked(plain: Any) -> bool:
    left = [plain]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += item
        elif isinstance(item, dict):
            if _MARK in item:
                return False
            left += item.values()
    return True


def _tagged(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else {_MARK: "float", "v": repr(value)}
    if kind is int:
        return value if -_SMALL <= value < _SMALL else {_MARK: "int", "v": hex(value)}
    if kind is list:
        return [_tagged(item) for item in value]
    if kind is dict:
        if _MARK not in value and all(type(key) is str for key in value):
            return {key: _tagged(item) for key, item in value.items()}
        return {_MARK: "dict", "v": [[_tagged(key), _tagged(item)] for key, item in value.items()]}
    if (writer := _WRITERS.get(kind)) is not None:
        name, write = writer
        return {_MARK: name, "v": write(value)}
    return _tagged_other(value)


def _tagged_other(value: Any) -> Any:
    if isinstance(value, np.generic) and is_plain(value.dtype):
        return {_MARK: "scalar", "v": [name_of(value.dtype), packed(np.array(value)).tobytes().hex()]}
    if type(value) is np.ndarray:
        if is_plain(value.dtype):
            data = base64.b64encode(packed(value).tobytes()).decode()
            return {_MARK: "array", "v": [name_of(value.dtype), list(value.shape), data]}
        if value.dtype == object:
            return {_MARK: "array", "v": ["O", list(value.shape), [_tagged(item) for item in value.ravel()]]}
    pandas = sys.modules.get("pandas")
    if pandas is not None and value is pandas.NA:
        return {_MARK: "missing", "v": None}
    if pandas is not None and isinstance(value, pandas.Timedelta):
        return {_MARK: "duration", "v": [value.unit, value.to_timedelta64().astype(np.int64).item()]}
    if pandas is not None and (value is pandas.NaT or isinstance(value, pandas.Timestamp)):
        return {_MARK: "timestamp", "v": "NaT" if value is pandas.NaT else _moment(value)}
    if isinstance(value, Enum):
        return _tagged(value.value)
    plain: Any
    for plain in (str, int, dict, list):
        if isinstance(value, plain):
            return _tagged(plain(value))
    return _tagged(plain_value(value))


def _moment(value: datetime) -> Any:
    """ISO 8601; and the name of the zone where it has one, since its offset is not the same all year."""
    zone = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
    return [value.isoformat(), zone] if isinstance(zone, str) else value.isoformat()


_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("bytes", lambda v: base64.b64encode(v).decode()),
    bytearray: ("bytes", lambda v: base64.b64encode(v).decode()),
    tuple: ("tuple", lambda v: [_tagged(item) for item in v]),
    datetime: ("datetime", lambda v: _moment(v)),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: ("decimal", str),
    uuid.UUID: ("uuid", str),
    np.bytes_: ("bytes_", lambda v: base64.b64encode(v).decode()),
    np.str_: ("str_", str),
}


def _untagged(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_untagged(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    mark = plain.get(_MARK)
    if mark is None:
        return {key: _untagged(item) for key, item in plain.items()}
    reader = _READERS.get(mark) if isinstance(mark, str) else None
    if reader is None:
        raise ValueError(f"unknown kind of value: {str(mark)[:40]!r}")
    return reader(plain["v"])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text expected, not a {type(value).__name__}")
    return value


def _scalar(value: Any) -> Any:
    name, data = value
    return np.frombuffer(bytes.fromhex(_text(data)), dtype=dtype_of(name), count=1)[0]


def _array(value: Any) -> Any:
    name, shape, data = value
    if name == "O":
        return as_object_array([_untagged(item) for item in data]).reshape(shape)
    raw = bytearray(base64.b64decode(_text(data), validate=True))
    return np.frombuffer(raw, dtype=dtype_of(name)).reshape(shape)


def _datetime(value: Any) -> datetime:
    text, zone = value if isinstance(value, list) else (value, None)
    found = datetime.fromisoformat(_text(text))
    return found if zone is None or (known := _zone(zone)) is None else found.astimezone(known)


@lru_cache(maxsize=64)
def _zone(name: Any) -> ZoneInfo | None:
    """None where this machine does not know the zone: the offset is what is left of it."""
    try:
        return ZoneInfo(_text(name))
    except (KeyError, ValueError, OSError):
        return None


def _timestamp(value: Any) -> Any:
    """What pandas calls a moment; without it Python's, or the text where that has too few digits."""
    text, zone = value if isinstance(value, list) else (value, None)
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        found = pandas.NaT if _text(text) == "NaT" else pandas.Timestamp(text)
        return found if zone is None or (known := _zone(zone)) is None else found.tz_convert(known)
    try:
        return text if text == "NaT" or len(_text(text).partition(".")[2]) > 12 else _datetime(value)
    except ValueError:
        return text


def _duration(value: Any) -> Any:
    """As pandas has it; without it Python's, which ends at microseconds."""
    unit, count = value
    found = np.array(int(count)).astype(f"timedelta64[{_text(unit)}]")[()]
    pandas = sys.modules.get("pandas")
    return found.astype("timedelta64[us]").item() if pandas is None else pandas.Timedelta(found)


def _missing(value: Any) -> Any:
    pandas = sys.modules.get("pandas")
    return None if pandas is None else pandas.NA


_READERS: dict[str, Callable[[Any], Any]] = {
    "float": lambda v: float(_text(v)),
    "int": lambda v: int(_text(v), 16),
    "dict": lambda v: {_untagged(key): _untagged(item) for key, item in v},
    "bytes": lambda v: base64.b64decode(_text(v), validate=True),
    "tuple": lambda v: tuple(_untagged(item) for item in v),
    "datetime": _datetime,
    "date": lambda v: date.fromisoformat(_text(v)),
    "time": lambda v: time.fromisoformat(_text(v)),
    "timedelta": lambda v: timedelta(*v),
    "decimal": lambda v: Decimal(_text(v)),
    "uuid": lambda v: uuid.UUID(_text(v)),
    "bytes_": lambda v: np.bytes_(base64.b64decode(_text(v), validate=True)),
    "str_": lambda v: np.str_(_text(v)),
    "scalar": _scalar,
    "array": _array,
    "timestamp": _timestamp,
    "duration": _duration,
    "missing": _missing,
}


@lru_cache(maxsize=1024)
def is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of it travel as their bytes."""
    return dtype.itemsize > 0 and (_DTYPE.fullmatch(dtype.str) is not None or _fields(dtype) is not None)


@lru_cache(maxsize=1024)
def name_of(dtype: np.dtype[Any]) -> str:
    """What `dtype_of` makes this dtype of, without gaps between fields. Only for plain dtypes."""
    return dtype.str if dtype.names is None else json.dumps(_fields(dtype))


def packed(array: Array) -> Array:
    """The array without gaps between the fields of its items."""
    return array if array.dtype.names is None else array.astype(dtype_of(name_of(array.dtype)))


def _fields(dtype: np.dtype[Any]) -> list[Any] | None:
    """Names, dtypes and shapes of a structured dtype's fields; None where one is not plain."""
    found: list[Any] = []
    for name in dtype.names or ():
        base, shape = dtype[name].subdtype or (dtype[name], ())
        inner = _fields(base) if base.names else base.str if _DTYPE.fullmatch(base.str) else None
        if inner is None:
            return None
        found.append([name, inner, list(shape)])
    return found or None


@lru_cache(maxsize=1024)
def dtype_of(name: str) -> np.dtype[Any]:
    """The dtype of a name that came from elsewhere. Raises ValueError."""
    if isinstance(name, str) and name.startswith("["):
        return _structured(json.loads(name))
    if not isinstance(name, str) or _DTYPE.fullmatch(name) is None:
        raise ValueError(f"unsupported dtype: {str(name)[:40]!r}")
    try:
        dtype = np.dtype(name)
    except TypeError as error:
        raise ValueError(f"invalid dtype: {name[:40]!r}: {error}") from None
    if not dtype.itemsize:
        raise ValueError(f"a dtype without a size: {name!r}")
    return dtype


def _structured(fields: Any) -> np.dtype[Any]:
    """Raises ValueError."""
    try:
        parts = [
            (_text(name), _structured(inner) if isinstance(inner, list) else dtype_of(inner), tuple(map(int, shape)))
            for name, inner, shape in fields
        ]
        dtype = np.dtype(parts)
    except (TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"invalid fields: {error}") from None
    if not dtype.itemsize:
        raise ValueError("fields without a size")
    return dtype
