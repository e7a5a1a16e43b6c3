"""Settled cells as JSON and as text: what stands in the cells of CSV, and in columns that have no one type.

Numbers are written with every digit; a missing or infinite one is null in JSON. A duration is its seconds, as a number.
Moments are ISO 8601, bytes base64. In CSV a gap is empty and an empty text is `""`; lists and objects are JSON.
"""

from __future__ import annotations

import base64
import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType
from typing import Any

import numpy as np
import orjson

from penstock.payload import Array
from penstock.wire.mlflow.answers import moment_text


def json_text(cell: Any) -> str:
    """A settled cell as JSON."""
    if isinstance(cell, list):
        return f"[{','.join(map(json_text, cell))}]"
    if isinstance(cell, dict):
        return "{" + ",".join(f"{json_text(key)}:{json_text(item)}" for key, item in cell.items()) + "}"
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "null"
    if isinstance(cell, Decimal):
        return str(cell) if cell.is_finite() else "null"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, np.timedelta64):
        return seconds_text(int(cell.astype(np.int64)))
    if isinstance(cell, (float, bool, str)):
        return orjson.dumps(cell).decode()
    return f'"{_other(cell)}"'


def cell_text(cell: Any) -> str | None:
    """A settled cell as CSV has it, not quoted yet; None for a gap."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, float):
        return None if cell != cell else repr(cell)
    if isinstance(cell, Decimal):
        return str(cell) if cell.is_finite() else None
    if isinstance(cell, (bool, int, list, dict, np.timedelta64)):
        return json_text(cell)
    return _other(cell)


def _other(cell: Any) -> str:
    """Of bytes, and what a calendar or a clock says."""
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    if isinstance(cell, np.datetime64):
        return str(cell) if np.datetime_data(cell.dtype)[0] == "D" else moment_text(cell)
    assert isinstance(cell, (date, datetime, time)), type(cell)
    return cell.isoformat()


def seconds_text(nanoseconds: int) -> str:
    """A duration in seconds, exactly: 1, 0.5, -1.000000001."""
    whole, rest = divmod(abs(nanoseconds), 10**9)
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def column_texts(column: Array) -> list[str | None]:
    """The same for each cell of a settled column."""
    if column.dtype.kind in "iu":
        return list(map(str, column.tolist()))
    if column.dtype.kind in "mM":
        return [None if np.isnat(cell) else cell_text(cell) for cell in column]
    cells = column.tolist()
    if column.dtype == object and not set(map(type, cells)) <= _NUMBERS:  # no column of numbers, which may be infinite
        cells = [None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in cells]
    return list(map(cell_text, cells))


_NUMBERS = {float, int, NoneType}


_SPECIAL = re.compile(r'[",\r\n]')


def quoted(text: str | None) -> str:
    """A text as one cell of CSV, quotes as RFC 4180 has them. A gap is empty, an empty text is in quotes."""
    if text is None:
        return ""
    if text and not _SPECIAL.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
