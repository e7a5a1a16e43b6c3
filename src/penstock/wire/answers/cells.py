"""Cells of a model's answer as tables have them: what JSON has a form for, and decimals and durations besides.

A settled cell is None, a bool, int, float, str, bytes, Decimal, date, time, datetime, np.datetime64, np.timedelta64 in
nanoseconds, or a list or dict (with text for keys) of such. A missing moment, duration or pandas.NA is None.
`docs/answers.md` has the rules.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any

import numpy as np
import orjson

from penstock.errors import CellHasNoForm
from penstock.payload import TEXT, Array, as_object_array, shortened

_PLAIN = frozenset({NoneType, bool, int, float})
_AS_THEY_ARE = (bool, int, float, bytes, Decimal, date, time, datetime)


class _NoForm(Exception):
    """Why no table has a form for a value."""


def settled(column: Array, name: str) -> Array:
    """A column (rows,) of a dtype that tables have, or of settled cells. Raises CellHasNoForm."""
    kind = column.dtype.kind
    if kind in "biuf":
        narrow = kind != "f" or column.dtype.itemsize <= 8
        return column.astype(column.dtype.newbyteorder("=") if narrow else np.float64, copy=False)
    if kind == "M":
        return _moments(column)
    if kind == "m":
        return _durations(column, name)
    if kind == TEXT.kind:
        return as_object_array([cell if isinstance(cell, str) else None for cell in column.astype(object)])
    cells = column.tolist()
    if kind in "OU" and set(map(type, cells)) <= _PLAIN:
        return column
    for row, cell in enumerate(cells):
        try:
            cells[row] = settled_cell(cell)
        except _NoForm as why:
            raise CellHasNoForm(row, name, str(why)) from None
        except RecursionError:
            raise CellHasNoForm(row, name, "a value that is nested too deeply, or contains itself") from None
    return as_object_array(cells)


def _moments(column: Array) -> Array:
    """In days, or the nearest unit from seconds to nanoseconds."""
    unit = np.datetime_data(column.dtype)[0]
    wanted = "D" if unit in ("Y", "M", "W") else "s" if unit in ("h", "m") else unit
    wanted = "ns" if wanted in ("ps", "fs", "as") else wanted
    return column.astype("datetime64[D]" if wanted == "generic" else f"datetime64[{wanted}]")


_NANOSECOND = np.dtype("timedelta64[ns]")


def _durations(column: Array, name: str) -> Array:
    unit = np.datetime_data(column.dtype)[0]
    with np.errstate(over="ignore"):
        found = column.astype(_NANOSECOND) if unit not in ("Y", "M", "generic") else column
    lost = (found.astype(column.dtype) != column) & ~np.isnat(column) if unit in _LONGER else np.array(())
    if found.dtype != _NANOSECOND or lost.any():
        row = int(np.argmax(lost)) if lost.any() else 0
        raise CellHasNoForm(row, name, _length(column[row]))
    return found


_LONGER = ("W", "D", "h", "m", "s", "ms", "us", "ns")


def _length(duration: Any) -> str:
    return f"the duration {shortened(str(duration))}, which has no length in nanoseconds of 64 bits"


def settled_cell(value: Any) -> Any:
    """One cell, whatever it is. Raises _NoForm, RecursionError."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is str:
        return _text(value)
    if kind is list or kind is tuple:
        return [settled_cell(item) for item in value]
    if kind is dict:
        return {_key(key): settled_cell(item) for key, item in value.items()}
    if kind in _AS_THEY_ARE:
        return value
    return _settled_other(value)


def _settled_other(value: Any) -> Any:
    pandas = sys.modules.get("pandas")
    if pandas is not None and (value is pandas.NaT or value is pandas.NA):
        return None
    if isinstance(value, np.ndarray):
        return [settled_cell(item) for item in _items(value)] if value.ndim else settled_cell(value[()])
    if isinstance(value, (np.datetime64, np.timedelta64, timedelta)):
        return _of_time(value)
    if pandas is not None and isinstance(value, pandas.Timestamp):
        return value if value.tzinfo is not None else value.to_datetime64()
    if isinstance(value, np.generic):
        return settled_cell(float(value) if isinstance(value, np.longdouble) else value.item())
    if isinstance(value, Enum):
        return settled_cell(value.value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    plain: Any
    for plain in (str, int, float, list, tuple):  # classes of their own that are such
        if isinstance(value, plain):
            return settled_cell(plain(value))
    if isinstance(value, _AS_THEY_ARE):
        return value
    if isinstance(value, Mapping):
        return settled_cell(dict(value))
    if callable(dump := getattr(value, "model_dump", None)):
        return settled_cell(dump())
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise _NoForm(f"a {kind.removeprefix('builtins.')}, which tables have no form for")


def _items(array: Array) -> list[Any]:
    """Along the first axis; scalars stay numpy's where Python's say less."""
    return list(array) if array.dtype.kind in "mM" or array.ndim > 1 else array.tolist()


def _of_time(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else _moments(np.array([value]))[0]
    try:
        found = np.array([value], dtype=None if isinstance(value, np.timedelta64) else "timedelta64[us]")
        if hasattr(value, "to_timedelta64"):  # pandas' own, which may have nanoseconds
            found = np.array([value.to_timedelta64()])
        cell = _durations(found, "")[0]
    except (CellHasNoForm, OverflowError):
        raise _NoForm(_length(value)) from None
    return None if np.isnat(cell) else cell


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _NoForm(f"the text {shortened(ascii(value))}, which has half a character in it") from None
    return value


def _key(key: Any) -> str:
    """As JSON writes it."""
    if type(key) is str:
        return _text(key)
    try:
        written = orjson.dumps({key: None}, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):
        raise _NoForm(f"an object with the key {shortened(key)}, which is no text") from None
    return next(iter(orjson.loads(written)))  # type: ignore[no-any-return]
