"""Dates and times by one rule, whatever brings them: a request, a file, or Python's own values.

A text is a calendar date of ISO 8601, with a time of day or without, and with a zone or without; what has a zone is
converted to UTC, what has none is taken as it stands. A number says nothing of its unit, so it is read only where the
signature states one. Whatever two people could read as two dates is refused. docs/dates.md is the rule in words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from penstock.payload import Array, shortened
from penstock.signature.cell_texts import is_missing, is_missing_word, is_number_text
from penstock.signature.misfit import Misfit
from penstock.signature.moments.faults import OUT_OF_RANGE, why_no_moment, why_no_number

# What a number may count since 1970, in nanoseconds.
EPOCH_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

# The longest moment that anybody writes has its zone's name in it.
_LONGEST = 64
_NOTHING = np.datetime64("NaT", "ns")
# Nanoseconds reach from 1677 to 2262; the least number of 64 bits stands for nothing.
_MOST = 2**63 - 1

_ZONE = r"(?P<zone>[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?"
_EXTENDED = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    rf"(?:[Tt ](?P<time>[0-9]{{2}}(?::[0-9]{{2}}(?::[0-9]{{2}}(?:[.,][0-9]+)?)?)?){_ZONE})?"
)
_BASIC = re.compile(
    rf"(?P<date>[0-9]{{8}})(?:[Tt](?P<time>[0-9]{{2}}(?:[0-9]{{2}}(?:[0-9]{{2}}(?:[.,][0-9]+)?)?)?){_ZONE})?"
)


def read_moment(cell: Any, epoch: str = "") -> np.datetime64:
    """One cell in nanoseconds since 1970 (UTC), NaT where it is missing. `epoch` is the unit of numbers, a key of
    EPOCH_UNITS, or nothing. Raises Misfit."""
    if isinstance(cell, str):
        return _NOTHING if cell == "NaT" or is_missing_word(cell) else _of_text(cell, epoch)
    if isinstance(cell, np.datetime64):
        return _in_range(cell, cell)
    if is_missing(cell):
        return _NOTHING
    if isinstance(cell, (int, float, Decimal, np.integer, np.floating)) and not isinstance(cell, bool):
        return _of_number(cell, epoch)
    if isinstance(cell, date):
        return _in_range(_plain(cell), cell)
    raise Misfit(f"{shortened(cell)} is not a datetime")


def check_moments(cells: Any) -> None:
    """Raises Misfit for text that no parser of moments should see: they take its length squared."""
    for cell in cells:
        if isinstance(cell, str) and len(cell) > _LONGEST:
            raise Misfit(f"{shortened(cell, 30)} has {len(cell):,} characters, which no datetime has")


def _of_text(cell: str, epoch: str) -> np.datetime64:
    check_moments((cell,))
    text = cell.strip(" \t")
    if epoch and is_number_text(text):
        return _of_number(Decimal(text), epoch)
    found = _EXTENDED.fullmatch(text) or _BASIC.fullmatch(text)
    if found is None:
        raise Misfit(why_no_moment(cell))
    clock, _, fraction = (found["time"] or "").replace(",", ".").partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > 9:
        raise Misfit(f"{shortened(cell)} has {len(fraction)} digits after the second; send 9 at most")
    try:
        seconds = int(np.datetime64(_extended(found["date"], clock), "s").astype(np.int64))
    except ValueError:  # no such day, hour, minute or second
        raise Misfit(why_no_moment(cell)) from None
    return _of_nanoseconds((seconds - _offset(found["zone"])) * 10**9 + int(f"{fraction:0<9}"), cell)


def _extended(day: str, time: str) -> str:
    """The form with hyphens and colons, the only one that numpy reads."""
    if "-" not in day:
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        time = ":".join(time[i : i + 2] for i in range(0, len(time), 2))
    return f"{day}T{time}" if time else day


def _offset(zone: str | None) -> int:
    """Seconds east of Greenwich."""
    if zone is None or zone in "Zz":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
    return minutes * (-60 if zone[0] == "-" else 60)


def _of_number(cell: Any, epoch: str) -> np.datetime64:
    if not epoch:
        raise Misfit(why_no_number(cell))
    exact = cell if isinstance(cell, Decimal) else Decimal(str(cell.item() if isinstance(cell, np.generic) else cell))
    if not exact.is_finite() or exact.adjusted() > 20:
        raise Misfit(f"{shortened(cell)} {OUT_OF_RANGE}")
    return _of_nanoseconds(int((exact * EPOCH_UNITS[epoch]).to_integral_value()), cell)


def _of_nanoseconds(count: int, cell: Any) -> np.datetime64:
    if abs(count) > _MOST:
        raise Misfit(f"{shortened(cell)} {OUT_OF_RANGE}")
    return np.datetime64(count, "ns")


def _plain(cell: date) -> np.datetime64:
    """In UTC, without a zone. Raises Misfit."""
    if hasattr(cell, "to_datetime64"):  # pandas' Timestamp, which has nanoseconds
        return cell.to_datetime64()  # type: ignore[no-any-return]
    if isinstance(cell, datetime) and cell.tzinfo is not None:
        try:
            cell = cell.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise Misfit(f"{shortened(cell)} {OUT_OF_RANGE}") from None
    return np.datetime64(cell, "us" if isinstance(cell, datetime) else "D")


def _in_range(moment: np.datetime64, cell: Any) -> np.datetime64:
    """In nanoseconds; numpy would wrap what they do not reach, without a word."""
    result: np.datetime64 = moment.astype("datetime64[ns]")
    if not np.isnat(moment) and result.astype(moment.dtype) != moment and not finer_than_nanoseconds(moment.dtype):
        raise Misfit(f"{shortened(cell)} {OUT_OF_RANGE}")
    return result


def finer_than_nanoseconds(dtype: np.dtype[Any]) -> bool:
    """Of such a moment the whole nanoseconds are kept."""
    return np.datetime_data(dtype)[0] in ("ps", "fs", "as")


# What nearly every column holds, and numpy reads as `read_moment` does: of all of these years there are nanoseconds.
_DAY = r"(?:1[7-9]|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
_OFFSET = r"[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]"
_UTC_CELL = rf"(?:{_DAY}(?:{_TIME}Z?)?|NaT)?"
_ALL_UTC = re.compile(rf"{_UTC_CELL}(?:\n{_UTC_CELL})*+")
_ALL_OFFSET = re.compile(rf"{_DAY}{_TIME}{_OFFSET}(?:\n{_DAY}{_TIME}{_OFFSET})*+")


def moments_of_texts(cells: Sequence[Any]) -> Array | None:
    """Texts and gaps (rows,) at once; None where a cell needs a closer look."""
    try:
        text = "\n".join(cells)
    except TypeError:
        if not all(isinstance(cell, str) or is_missing(cell) for cell in cells):
            return None
        text = "\n".join([cell if isinstance(cell, str) else "" for cell in cells])
    if not cells or text.count("\n") != len(cells) - 1:
        return None
    try:
        if _ALL_UTC.fullmatch(text):
            return np.array(text.replace("Z", "").split("\n"), dtype="datetime64[ns]")
        if _ALL_OFFSET.fullmatch(text):
            offsets = {zone: _offset(zone) for zone in {cell[-6:] for cell in cells}}
            seconds = np.array([offsets[cell[-6:]] for cell in cells], dtype="timedelta64[s]")
            found: Array = np.array([cell[:-6] for cell in cells], dtype="datetime64[ns]") - seconds
            return found
    except ValueError:  # no such day, hour, minute or second
        pass
    return None


def moments_of_numbers(column: Array, epoch: str) -> Array | None:
    """Whole numbers (rows,), NaN among them as gaps, at once; None where a cell needs a closer look."""
    unit = EPOCH_UNITS[epoch]
    numbers = np.where(np.isnan(column), 0, column) if column.dtype.kind == "f" else column
    if not len(numbers) or numbers.max() > _MOST // unit or numbers.min() < -(_MOST // unit):
        return None
    whole = numbers.astype(np.int64)
    if column.dtype.kind == "f" and ((whole != numbers).any() or (np.abs(numbers) >= 2.0**53).any()):
        return None
    found = (whole * unit).view("datetime64[ns]")
    if column.dtype.kind == "f":
        found[np.isnan(column)] = _NOTHING
    return found
