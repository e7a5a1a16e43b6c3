"""A stream of text cut into whole records, without reading what is in them.

Where a chunk ends depends on where it begins and on the data alone, never on how many bytes a read returned; so a run
that begins again at a part's first record cuts the rest as the first run did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from penstock.errors import ScoringError
from penstock.payload import Array
from penstock.wire.csv.records import BOM, Before, find_blanks, find_ends, without

# A record longer than this is rather a quote that is never closed.
LONGEST_RECORD = 64 << 20

# What is read at once, or more.
_STEP = 2 << 20

_NEWLINE, _RETURN = 10, 13


@dataclass(frozen=True, slots=True)
class Gaps:
    """Bytes that were left out of a text. `places` (n,) are where in what is left they are missing, `missing` (n,) how
    many are by then."""

    places: Array
    missing: Array

    @classmethod
    def of(cls, starts: Array, stops: Array) -> Gaps:
        missing = np.cumsum(stops - starts, dtype=np.int64)
        return cls(stops - missing, missing)

    def before(self, places: Array) -> Array:
        """How many bytes are missing before each of these places."""
        return np.append(0, self.missing)[np.searchsorted(self.places, places, side="right")]


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records without the empty lines between them. `start` is the byte of the stream with which they
    begin, `end` the one after the last of them; `gaps` are the empty lines, None where there were none."""

    data: bytes
    rows: int
    start: int
    end: int
    gaps: Gaps | None = None


class RecordReader:
    """Records of CSV text, or lines where there is no `delimiter`. `name` is the stream's in errors."""

    def __init__(self, stream: BinaryIO, *, delimiter: str | None, start: int = 0, name: str = "The input") -> None:
        self._stream = stream
        self._delimiter = delimiter
        self._name = name
        # The whole state: bytes that are read and not yet given out, from `_at` on; the places among them that end
        # records, from the one numbered `_next` on; what the byte after them comes after; where `_at` is in the stream;
        # whether that has ended.
        self._buffer = b""
        self._at = 0
        self._ends = np.empty(0, dtype=np.intp)
        self._next = 0
        self._before = Before.START
        self._offset = start
        self._ended = False
        self._begun = start > 0

    def take(self, max_rows: int, max_bytes: int) -> Records | None:
        """The next records, at least one and no more than these; None at the end. Raises ScoringError."""
        while window := self._window(max_bytes, max_rows):
            until = self._next + int(np.searchsorted(self._ends[self._next :], self._at + window))
            ends = self._ends[self._next : min(until, self._next + max_rows)] - self._at
            self._next += len(ends)
            if len(ends) < max_rows and self._ended and self._at + window == len(self._buffer):
                ends = self._with_last(ends, window)
            if not len(ends):
                max_bytes = self._longer(max_bytes)
                continue
            stop = min(int(ends[-1]) + 1, window)
            text, start = self._buffer[self._at : self._at + stop], self._offset
            blanks = find_blanks(text, ends, self._delimiter or ",")
            self._at += stop
            self._offset += stop
            if rows := len(ends) - len(blanks[0]):
                gaps = Gaps.of(*blanks) if rows < len(ends) else None
                return Records(without(text, *blanks), rows, start, self._offset, gaps)
        return None

    def skip(self, rows: int, max_bytes: int) -> int:
        """Passes over that many records, fewer at the end; how many there were."""
        left = rows
        while left and (records := self.take(left, max_bytes)) is not None:
            left -= records.rows
        return rows - left

    def _window(self, size: int, rows: int) -> int:
        """How many of the next `size` bytes there are, 0 at the end. They are in the buffer then, or so many records
        are, and nothing behind them matters."""
        if not self._begun:
            self._begin()
        # One byte more than asked for tells whether these are the last, however the stream hands out its bytes.
        while (
            (left := len(self._buffer) - self._at) <= size and not self._ended and len(self._ends) - self._next < rows
        ):
            # As much as is there already: what is left would else be copied for every little more.
            self._add(self._read(min(max(left, _STEP), size + 1 - left)))
        return min(size, left)

    def _begin(self) -> None:
        """Passes over a byte order mark."""
        self._begun = True
        head = self._read(len(BOM))
        if head == BOM:
            self._offset += len(BOM)
        else:
            self._add(head)

    def _read(self, wanted: int) -> bytes:
        """So many bytes of the stream, fewer at its end; more where a carriage return may have its newline yet to
        come."""
        pieces = []
        while wanted > 0:
            piece = self._stream.read(wanted)
            if not piece:
                self._ended = True
                break
            pieces.append(piece)
            wanted = max(wanted - len(piece), int(piece[-1] == _RETURN))
        return b"".join(pieces)

    def _add(self, fresh: bytes) -> None:
        """Behind what is left in the buffer, where each byte is looked at once."""
        left = len(self._buffer) - self._at
        if self._delimiter is None:
            ends = np.flatnonzero(np.frombuffer(fresh, dtype=np.uint8) == _NEWLINE)
        else:
            ends, self._before = find_ends(fresh, self._delimiter, self._before)
        self._ends = np.concatenate((self._ends[self._next :] - self._at, ends + left))
        self._buffer = self._buffer[self._at :] + fresh
        self._at = self._next = 0

    def _longer(self, max_bytes: int) -> int:
        if max_bytes >= LONGEST_RECORD:
            raise ScoringError(
                f"{self._name} has a record longer than {LONGEST_RECORD >> 20} MB, from byte {self._offset:,} on.",
                hint="Is there a quote that is never closed?" if self._delimiter else "Does the input have lines?",
            )
        return max_bytes * 2

    @staticmethod
    def _with_last(ends: Array, window: int) -> Array:
        """The last record of all needs no newline. Its quotes may be open; whoever reads it will say so."""
        last = int(ends[-1]) + 1 if len(ends) else 0
        return np.append(ends, window) if last < window else ends


def split_lines(data: bytes) -> list[bytes]:
    """The lines of a chunk, one by one, without their ends."""
    return [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]
