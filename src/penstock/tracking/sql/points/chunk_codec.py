"""Packed points: a few thousand points of one series as one blob, at five to twelve bytes a point.

A column of 64-bit numbers is put down as first differences (values as they are),
its bytes sorted by their place in a number, so that the bytes which hardly change lie together; the three columns are
compressed as one. The first byte says which form this is: a blob outlives the release that wrote it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zstandard

from penstock.errors import RegistryUnavailable
from penstock.tracking.metrics import Points
from penstock.tracking.sql.points.cells import Columns, points_of_columns

# How many points a chunk holds at most: what is decoded to read any of them.
CHUNK_POINTS = 4096

_FORM = b"\x01"
_LEVEL = 6
_WIDTH = 8


def encode(points: Points) -> bytes:
    """The blob of these points, in their order."""
    columns = (
        _shuffled(np.diff(np.frombuffer(points.steps, np.int64), prepend=0)),
        _shuffled(np.diff(np.frombuffer(points.timestamps, np.int64), prepend=0)),
        _shuffled(np.frombuffer(points.values, np.float64)),
    )
    return _FORM + zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(columns))


def decode(blob: bytes) -> Points:
    """The points of a blob. Raises RegistryUnavailable for one that is damaged or of a later form."""
    return points_of_columns(*decode_columns(blob))


def decode_columns(blob: bytes) -> Columns:
    """Its steps, timestamps and values: columns (n,) of numpy. Raises RegistryUnavailable."""
    if blob[:1] != _FORM:
        raise RegistryUnavailable("A chunk of points is of a form that this release does not know.")
    try:
        data = zstandard.ZstdDecompressor().decompress(memoryview(blob)[1:])
    except zstandard.ZstdError as error:
        raise RegistryUnavailable(f"A chunk of points is damaged: {error}.") from error
    count, rest = divmod(len(data), 3 * _WIDTH)
    if rest:
        raise RegistryUnavailable(f"A chunk of points is damaged: {len(data)} bytes are no three columns.")
    # (3, n, 8): the bytes of each number side by side again.
    numbers = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(3, _WIDTH, count).transpose(0, 2, 1))
    whole = numbers.view(np.int64).reshape(3, count)
    return np.cumsum(whole[0]), np.cumsum(whole[1]), whole[2].view(np.float64)


def _shuffled(column: Any) -> bytes:
    return np.ascontiguousarray(column.view(np.uint8).reshape(-1, _WIDTH).T).tobytes()
