"""A stream of text cut into whole records, without reading what is in them.

Where a chunk ends depends on where it begins and on the data alone, never on how many bytes a read returned; so a run
that begins again at a part's first record cuts the rest as the first run did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from penstock.errors import ScoringError
from penstock.payload import Array

# A record longer than this is rather a quote that is never closed.
LONGEST_RECORD = 64 << 20

# What is read at once, or more.
_STEP = 2 << 20
# Where the first line end is looked for.
_FIRST_LINE = 1 << 20
_LINE_END = re.compile(rb"\r\n|\r|\n")

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records without the empty lines between them. `end` is the byte after the last one."""

    data: bytes
    rows: int
    end: int


class RecordReader:
    """Records of CSV-like text (`quoted`: a newline inside quotes is part of a cell) or of lines.

    `returns` says that records end with carriage returns alone, as some spreadsheets write them. They are read as
    newlines, byte for byte, so that places in the file stay what they are. `name` is the stream's in errors.
    """

    def __init__(
        self, stream: BinaryIO, *, quoted: bool, start: int = 0, returns: bool = False, name: str = "The input"
    ) -> None:
        self._stream = stream
        self._quoted = quoted
        self._returns = returns
        self._name = name
        # The whole state: bytes that are read and not yet given out, from `_at` on; the newlines among them that end
        # records, from the one numbered `_next` on; whether the last byte is inside quotes; where `_at` is in the
        # stream; whether that has ended.
        self._buffer = b""
        self._at = 0
        self._ends = np.empty(0, dtype=np.intp)
        self._next = 0
        self._inside = False
        self._offset = start
        self._ended = False

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
            data, rows = _without_blanks(self._buffer[self._at : self._at + stop], ends)
            self._at += stop
            self._offset += stop
            if rows:
                return Records(data, rows, self._offset)
        return None

    def skip(self, rows: int, max_bytes: int) -> int:
        """Passes over that many records, fewer at the end; how many there were."""
        left = rows
        while left and (records := self.take(left, max_bytes)) is not None:
            left -= records.rows
        return rows - left

    def find_returns(self) -> bool:
        """Whether carriage returns alone end the records, as the first line end tells; asked before anything is taken.
        If so they do from now on."""
        size = self._window(_FIRST_LINE, 1)
        window = self._buffer[:size]
        match = _LINE_END.search(re.sub(rb'"[^"]*"?', b"", window) if self._quoted else window)
        if match is not None and match[0] == b"\r" and (match.end() < len(window) or self._ended):
            self._returns = True
            self._buffer = self._buffer.replace(b"\r", b"\n")
            self._ends, self._inside = _record_ends(self._buffer, self._quoted)
        return self._returns

    def _window(self, size: int, rows: int) -> int:
        """How many of the next `size` bytes there are, 0 at the end. They are in the buffer then, or so many records
        are, and nothing behind them matters."""
        # One byte more than asked for tells whether these are the last, however the stream hands out its bytes.
        while (
            (left := len(self._buffer) - self._at) <= size and not self._ended and len(self._ends) - self._next < rows
        ):
            # As much as is there already: what is left would else be copied for every little more.
            self._add(self._read(min(max(left, _STEP), size + 1 - left)))
        return min(size, left)

    def _read(self, wanted: int) -> bytes:
        """So many bytes of the stream, fewer at its end."""
        pieces = []
        while wanted > 0:
            piece = self._stream.read(wanted)
            if not piece:
                self._ended = True
                break
            pieces.append(piece.replace(b"\r", b"\n") if self._returns else piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def _add(self, fresh: bytes) -> None:
        """Behind what is left in the buffer, where each byte is looked at once."""
        left = len(self._buffer) - self._at
        ends, self._inside = _record_ends(fresh, self._quoted, self._inside)
        self._ends = np.concatenate((self._ends[self._next :] - self._at, ends + left))
        self._buffer = self._buffer[self._at :] + fresh
        self._at = self._next = 0

    def _longer(self, max_bytes: int) -> int:
        if max_bytes >= LONGEST_RECORD:
            raise ScoringError(
                f"{self._name} has a record longer than {LONGEST_RECORD >> 20} MB, from byte {self._offset:,} on.",
                hint="Is there a quote that is never closed?" if self._quoted else "Does the input have lines?",
            )
        return max_bytes * 2

    @staticmethod
    def _with_last(ends: Array, window: int) -> Array:
        """The last record of all needs no newline. Its quotes may be open; whoever reads it will say so."""
        last = int(ends[-1]) + 1 if len(ends) else 0
        return np.append(ends, window) if last < window else ends


def _record_ends(text: bytes, quoted: bool, inside: bool = False) -> tuple[Array, bool]:
    """Where the newlines are that end a record, and whether the last byte is inside quotes, as the first one is where
    `inside` says so."""
    cells = np.frombuffer(text, dtype=np.uint8)
    newlines = np.flatnonzero(cells == _NEWLINE)
    if not quoted or not (inside or b'"' in text):
        return newlines, False
    # A newline with an odd number of quotes before it stands inside a cell; a doubled quote changes nothing.
    quotes = np.flatnonzero(cells == _QUOTE)
    odd = (np.searchsorted(quotes, newlines) + inside) % 2
    return newlines[odd == 0], bool((len(quotes) + inside) % 2)


def split(data: bytes, *, quoted: bool) -> list[bytes]:
    """The records of a chunk, one by one, without their line ends."""
    ends = _record_ends(data, quoted)[0].tolist()
    if not ends or ends[-1] != len(data) - 1:
        ends.append(len(data))
    starts = [0, *(end + 1 for end in ends[:-1])]
    return [data[start:end].removesuffix(b"\r") for start, end in zip(starts, ends, strict=True)]


def _without_blanks(data: bytes, ends: Array) -> tuple[bytes, int]:
    """Whole records as they stand, without lines that have nothing in them, and how many there are."""
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.min() > 1:
        return data, len(ends)
    starts = ends - lengths
    first = np.frombuffer(data, dtype=np.uint8)[np.minimum(starts, len(data) - 1)]
    blank = (lengths == 0) | ((lengths == 1) & (first == _RETURN))
    if not blank.any():
        return data, len(ends)
    kept = [data[s : e + 1] for s, e, gone in zip(starts, ends, blank, strict=True) if not gone]
    return b"".join(kept), len(kept)
