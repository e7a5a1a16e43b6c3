"""Why a text or a number is no date, and what to send in its place. Pure words; `moments` decides."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from penstock.payload import shortened

OUT_OF_RANGE = "is out of range (1677-09-21 to 2262-04-11); send null, or an empty cell, where there is no date"

_THREE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:[T ,]+(\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?", re.ASCII)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}):?(\d{2})?:?(\d{2})?.*)?", re.ASCII)


def why_no_moment(cell: str) -> str:
    """For text that is no moment by the rule."""
    text, told = cell.strip(), shortened(cell)
    if text.isascii() and text.lstrip("+-").replace(".", "", 1).isdigit():
        whole_day = re.fullmatch("(19|20)[0-9]{6}", text)
        return f"{told} is on a day that does not exist" if whole_day else why_no_number(cell)
    if (iso := _ISO.fullmatch(text)) and (why := _why_not_there(iso)):
        return f"{told} {why}"
    if _CLOCK.fullmatch(text):
        return f"{told} is a time without a date; send both, like 2024-01-31T{_two_digits(text)}"
    if (three := _THREE.fullmatch(text)) and (readings := _readings(three)):
        if len(readings) > 1:
            return f"{told} could be {_listed(readings)}; send the one that is meant, year first"
        return f"{told} is not written as ISO 8601; send {readings[0]}"
    return f"{told} is not a date in ISO 8601, like 2024-01-31, 2024-01-31T12:00:00 or 2024-01-31T12:00:00Z"


def _why_not_there(iso: re.Match[str]) -> str:
    """For the right form with numbers that no clock or calendar has."""
    day, hour, minute, second = iso.groups()
    try:
        found = date.fromisoformat(day)
    except ValueError:
        return f"is on a day that does not exist ({day})"
    if second == "60":
        return f"is a leap second, which datetimes do not have; send {day}T{hour}:{minute}:59"
    if hour == "24" and {minute, second} <= {"00", None}:
        return f"ends a day; send the beginning of the next one, {found + timedelta(days=1)}T00:00:00"
    if hour and (int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 59):
        return f"has a time of day that does not exist ({hour}:{minute or '00'}:{second or '00'})"
    return ""


def _readings(three: re.Match[str]) -> list[str]:
    """The dates that three numbers may mean, in ISO 8601, with the time that stands behind them."""
    first, _, middle, last, clock = three.groups()
    orders = [(first, middle, last)]
    if len(first) <= 2:
        orders = [(last, middle, first), (last, first, middle)] + ([(first, middle, last)] if len(last) <= 2 else [])
    found = []
    for year, month, day in orders:
        if len(year) in (2, 4) and len(day) <= 2:
            full = int(year) if len(year) == 4 else 2000 + int(year)
            try:
                found.append(f"{date(full, int(month), int(day))}{f'T{_two_digits(clock)}' if clock else ''}")
            except ValueError:
                continue
    return list(dict.fromkeys(found))


def _two_digits(clock: str) -> str:
    return clock if clock[1].isdigit() else f"0{clock}"


def _listed(readings: list[str]) -> str:
    return f"{', '.join(readings[:-1])} or {readings[-1]}"


# How many of them in a second, from the smallest number on that is rather counted in them.
_COUNTS = ((1e17, "nanoseconds", 1e9), (1e14, "microseconds", 1e6), (1e11, "milliseconds", 1e3), (0, "seconds", 1.0))


def why_no_number(cell: Any) -> str:
    """For a number whose unit nobody has stated."""
    told = f"{shortened(cell)} is a number, and no unit is stated for this column; send text"
    try:
        number = float(cell)
        unit, each = next((unit, each) for least, unit, each in _COUNTS if abs(number) >= least)
        meant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number / each)
    except (ValueError, OverflowError, TypeError, StopIteration):
        return f"{told} like 2024-01-31T12:00:00Z"
    return f"{told}: {meant.isoformat(timespec='seconds').replace('+00:00', 'Z')} if these are {unit} since 1970"
