"""Cells that pandas and numpy would change without a word: wrapped or infinite numbers, lost fractions, missing texts
that become the word None, and text that counts as true because it is not empty. They are refused, and "true" and
"false" are read as meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from penstock.payload import Name, Violation, as_object_array, shortened
from penstock.signature import BOOLEAN_WORDS, Misfit
from penstock.signature.casts import cast_moments
from penstock.signature.moments import read_moment
from penstock.signature.schema import dtype_name


def corruption(dtype: np.dtype[Any]) -> Callable[[Any], str] | None:
    """A function that says why a cell would not survive the cast to `dtype`, or nothing; None where all do."""
    match dtype.kind:
        case "i" | "u":
            info = np.iinfo(dtype)
            return lambda cell: _whole(cell, int(info.min), int(info.max), dtype.name)
        case "f":
            largest = float(np.finfo(dtype).max)
            return lambda cell: _floating(cell, largest, dtype.name)
        case "b":
            return _boolean
        case "U" | "S":
            return partial(text_misfit, dtype=dtype)
    return None


def _whole(cell: Any, least: int, most: int, name: str) -> str:
    if isinstance(cell, str):
        try:
            cell = int(cell)
        except ValueError:
            return ""  # the cast says what is wrong with it
    if isinstance(cell, (bool, np.bool_)) or not isinstance(cell, (int, float, np.number)):
        return ""
    if isinstance(cell, (float, np.floating)):
        if not math.isfinite(cell):
            return ""
        if not float(cell).is_integer():
            return f"{shortened(cell)} is not a whole number"
    return "" if least <= int(cell) <= most else f"{shortened(cell)} is out of range for {name}"


def _floating(cell: Any, largest: float, name: str) -> str:
    text = isinstance(cell, str)
    if not text and (not isinstance(cell, (int, float, np.number)) or isinstance(cell, bool)):
        return ""
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return ""
    grown = math.isinf(value) and text and "inf" not in cell.lower()
    if grown or (math.isfinite(value) and abs(value) > largest):
        return f"{shortened(cell)} is out of range for {name}"
    return ""


def _boolean(cell: Any) -> str:
    """Neither missing, nor true, false, 0 or 1, as a number or as text."""
    if isinstance(cell, str):
        return "" if cell.strip().lower() in BOOLEAN_WORDS else f"{shortened(cell)} is not a boolean"
    if cell is None or isinstance(cell, (bool, np.bool_)):
        return ""
    if isinstance(cell, (int, float, np.number)):
        return "" if cell in (0, 1) or cell != cell else f"{shortened(cell)} is not a boolean"
    return f"{shortened(cell)} is not a boolean" if isinstance(cell, (list, dict)) else ""


def text_misfit(cell: Any, dtype: np.dtype[Any]) -> str:
    """Why a cell cannot be text of an array; empty where it can. Of a missing one numpy makes a word: None, or nan."""
    gone = cell is None or (isinstance(cell, (float, np.floating)) and cell != cell)
    return f"a missing value cannot be {dtype_name(dtype)}" if gone else ""


def as_meant(cell: Any) -> Any:
    """A boolean's word as the boolean; anything else as it is."""
    return BOOLEAN_WORDS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell


class Corrupted(Misfit):
    """numpy would take this cell and change it."""

    def __init__(self, reason: str, row: int | None = None, column: Name | None = None) -> None:
        super().__init__(reason)
        self.reason, self.row, self.column = reason, row, column

    @property
    def violation(self) -> Violation:
        return Violation(self.reason, self.row, self.column, at_parse=True)


# Given data, a dtype, and the unit of numbers where that is one of datetimes.
Check: TypeAlias = Callable[[Any, np.dtype[Any], str], Any]


def checked(data: Any, dtype: np.dtype[Any], epoch: str = "") -> Any:
    """JSON data of any depth, safe for numpy to cast: words are booleans and datetimes where those are wanted. Raises
    Corrupted."""
    if dtype.kind == "M":
        return _moments(data, epoch)
    if (says := corruption(dtype)) is None:
        return data
    for row, item in enumerate(data) if isinstance(data, list) else ((None, data),):
        for cell in leaves(item):
            if reason := says(cell):
                raise Corrupted(reason, row)
    return _mapped(data) if dtype.kind == "b" else data


def unchecked(data: Any, dtype: np.dtype[Any], epoch: str = "") -> Any:
    """The data as it is."""
    return data


def _moments(data: Any, epoch: str) -> Any:
    """numpy takes a number for nanoseconds, and "now" for the present. Raises Corrupted."""
    if not isinstance(data, list):
        return _each_moment(data, epoch)
    if not any(isinstance(item, list) for item in data):
        found = cast_moments(as_object_array(data), epoch, 1)
        for row, reason in found.misfits:
            raise Corrupted(reason, row)
        return found.column
    for row, item in enumerate(data):
        try:
            data[row] = _each_moment(item, epoch)
        except Misfit as misfit:
            raise Corrupted(str(misfit), row) from None
    return data


def _each_moment(data: Any, epoch: str) -> Any:
    return [_each_moment(item, epoch) for item in data] if isinstance(data, list) else read_moment(data, epoch)


def leaves(data: Any) -> Iterator[Any]:
    """The single values in lists of any depth."""
    waiting = [iter((data,))]
    while waiting:  # one generator, however deep the lists
        for item in waiting[-1]:
            if isinstance(item, list):
                waiting.append(iter(item))
                break
            yield item
        else:
            waiting.pop()


def _mapped(data: Any) -> Any:
    return [_mapped(item) for item in data] if isinstance(data, list) else as_meant(data)
