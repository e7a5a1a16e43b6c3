"""Rows of a chunk of text as they stand in the file: found again for the few that are rejected, not for the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.payload import Array
from penstock.scoring.file_formats import FileFormat
from penstock.scoring.read.chunks import Chunk
from penstock.scoring.rejects import RawRow
from penstock.wire.csv.records import all_ends

_NEWLINE = 10


def raw_rows(chunk: Chunk, format_: FileFormat, places: Sequence[int]) -> list[RawRow]:
    """The chunk's rows of these numbers."""
    ends = _ends(chunk.data, format_.delimiter)
    starts = np.append(0, ends[:-1] + 1)
    offsets = starts + (chunk.start or 0) + (0 if chunk.gaps is None else chunk.gaps.before(starts))
    return [RawRow.of(int(offsets[at]), _row(chunk.data, int(starts[at]), int(ends[at]))) for at in places]


def _ends(data: bytes, delimiter: str | None) -> Array:
    """The places that end a record; the last one may be the end of the data."""
    if delimiter is not None:
        return all_ends(data, delimiter)[0]
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
    return ends if data.endswith(b"\n") else np.append(ends, len(data))


def _row(data: bytes, start: int, end: int) -> bytes:
    row = data[start:end]
    return row.removesuffix(b"\r") if data[end : end + 1] == b"\n" else row
