"""What of a payload takes long to write and to read: texts and objects, by their number and their characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from penstock.payload import Array, Payload, Tensors, Value

# So many cells of text or objects are one piece, and fewer where their texts have more characters than this: about a
# millisecond's work.
PIECE = 4096
_PIECE_CHARACTERS = 1 << 18

# What has more bytes is too much for an event loop; values of so many are handed on unread.
LARGE = 64 * 1024


def light_pieces(flat: Array, form: str) -> Iterator[Array]:
    """The cells, so many at a time that none takes long."""
    start = 0
    while True:
        end = min(start + PIECE, len(flat))
        while end - start > 1 and _characters(flat[start:end], form) > _PIECE_CHARACTERS:
            end = start + (end - start) // 2
        yield flat[start:end]
        start = end
        if start >= len(flat):
            return


def _characters(cells: Array, form: str) -> int:
    if form == "text":
        present = cells[~np.isnan(cells)]
        return int(np.strings.str_len(present).sum()) if len(present) else 0
    return sum(weight_of(cell, _PIECE_CHARACTERS) for cell in cells)


def weight_of(value: Any, most: int) -> int:
    """About how many characters a value has as JSON; no more is looked at once there are more than `most`."""
    left, weight = [value], 0
    while left and weight <= most:
        item = left.pop()
        if isinstance(item, (str, bytes)):
            weight += len(item)
        elif isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, (list, tuple)):
            left += item
        elif isinstance(item, np.ndarray):
            weight += item.nbytes
        weight += 4
    return weight


def takes_long(payload: Payload) -> bool:
    """Whether to encode it takes more time than an event loop has."""
    if isinstance(payload, Value):
        return False  # read on an event loop, so it is small; or packed
    cells = 0
    arrays: Sequence[Array]
    if isinstance(payload, Tensors):
        arrays = payload.arrays
    else:
        arrays = payload.columns or () if payload.block is None else (payload.block,)
    for array in arrays:
        if array.dtype.kind not in "OT":
            continue
        cells += array.size
        if cells > PIECE or sum(weight_of(cell, LARGE) for cell in array.flat) > LARGE:
            return True
    return False


def reads_long(plan: bytes, body: bytearray) -> bool:
    """The same of decoding."""
    return len(body) > LARGE and (b'"text"' in plan or (b'"objects"' in plan and b'"value"' not in plan[:16]))
