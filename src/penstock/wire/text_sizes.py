"""How long a single text may be: what one call of a library works on, nobody can interrupt."""

from __future__ import annotations

import numpy as np

from penstock.errors import InputTooLarge
from penstock.payload import Array, Payload, Tensors, Value

_AT_ONCE = 65_536  # cells of which the lengths are asked together


def check_texts(payload: Payload, most: int) -> None:
    """Raises InputTooLarge for rows with a text of more than `most` characters. Values are handed on unread."""
    if isinstance(payload, Value):
        return
    for array in payload.arrays if isinstance(payload, Tensors) else payload.iter_columns():
        if array.dtype.kind in "OTU" and (length := _longest(array.ravel())) > most:
            raise InputTooLarge(
                f"The body has a text of {length:,} characters, where {most:,} are allowed: an eighth of the limit "
                "max_body_bytes.",
                hint="Send shorter texts, or raise the setting max_body_bytes.",
            )


def _longest(cells: Array) -> int:
    if cells.dtype.kind == "U":
        return cells.dtype.itemsize // 4
    longest = 0
    for start in range(0, len(cells), _AT_ONCE):
        part = cells[start : start + _AT_ONCE]
        if cells.dtype.kind == "O":
            longest = max(longest, max((len(cell) for cell in part if isinstance(cell, (str, bytes))), default=0))
        elif len(part := part[~np.isnan(part)]):
            longest = max(longest, int(np.strings.str_len(part).max()))
    return longest
