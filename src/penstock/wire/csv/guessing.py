"""What a column of text becomes where no signature says it: what pandas makes of it, so what MLflow's server makes.

Whole numbers are 64 bits wide, and floats where there is a gap among them; words for true and false are booleans,
objects where there is one. Whole numbers past 64 bits stay text: as floats they would lose digits, and they are names
more often than numbers. So do numbers that are such to Python alone: 1_000, or digits of other scripts.
"""

from __future__ import annotations

import math
import re

import numpy as np

from penstock.payload import Array, as_object_array
from penstock.signature import is_missing_word
from penstock.signature.cell_texts import is_number_text

_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_PADDED_WITH_ZEROS = re.compile(r"\s*[+-]?0[0-9]+\s*", re.ASCII)
_WORDS = {"true": True, "false": False}


def guess_column(cells: Array) -> Array:
    """The column (rows,) of text as whole numbers, numbers, booleans, or the text it is; missing cells are NaN or
    None."""
    missing = np.fromiter((is_missing_word(cell) for cell in cells), dtype=bool, count=len(cells))
    present = [cell for cell, gone in zip(cells, missing, strict=True) if not gone]
    text = as_object_array([None if gone else cell for cell, gone in zip(cells, missing, strict=True)])
    if not len(cells):
        return text
    if not present:
        return np.full(len(cells), np.nan)
    whole = len(present) == len(cells)
    if all(cell.lower() in _WORDS for cell in present):
        words = [math.nan if gone else _WORDS[cell.lower()] for cell, gone in zip(cells, missing, strict=True)]
        return np.array(words) if whole else as_object_array(words)
    if not all(map(is_number_text, present)):
        return text
    numbers = [_whole(cell) for cell in present if _WHOLE.fullmatch(cell)]
    if any(not -(2**63) <= number < 2**64 for number in numbers):
        return text
    if len(numbers) < len(present):
        return _with_gaps(np.array([float(cell) for cell in present]), missing)
    if max(numbers) < 2**63:
        return np.array(numbers, dtype=np.int64) if whole else _with_gaps(np.array(numbers, np.float64), missing)
    return np.array(numbers, dtype=np.uint64) if whole and min(numbers) >= 0 else text


def _whole(cell: str) -> int:
    """Any number past 64 bits for one that is longer than Python reads."""
    return int(cell) if len(cell) < _LONGEST else 2**64


_LONGEST = 1000


def loses_zeros(cells: Array) -> str:
    """The first cell of a column that `guess_column` makes numbers of whose leading zeros are lost by that; empty where
    there is none."""
    padded = next((cell for cell in cells if _PADDED_WITH_ZEROS.fullmatch(cell)), "")
    return padded if padded and guess_column(cells).dtype.kind in "iuf" else ""


def _with_gaps(numbers: Array, missing: Array) -> Array:
    """The numbers where cells are present, NaN where they are missing."""
    result = np.full(len(missing), np.nan)
    result[~missing] = numbers
    return result
