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
    newlines, byte for byte, so that places in the file stay what they are.
    """

    def __init__(self, stream: BinaryIO, *, quoted: bool, start: int = 0, returns: bool = False) -> None:
        self._stream = stream
        self._quoted = quoted
        self._returns = returns
        # The whole state: bytes that are read and not yet given out, from `_at` on; where they stand in the stream.
        self._buffer = b""
        self._at = 0
        self._offset = start
        self._ended = False

    def take(self, max_rows: int, max_bytes: int) -> Records | None:
        """The next records, at least one and no more than these; None at the end. Raises ScoringError."""
        while (window := self._window(max_bytes)) is not None:
            ends = _record_ends(window, self._quoted)
            if self._ended and len(window) == len(self._buffer) - self._at:
                ends = self._with_last(ends, window)
            if not len(ends):
                max_bytes = self._longer(max_bytes)
                continue
            ends = ends[:max_rows]
            stop = min(int(ends[-1]) + 1, len(window))
            self._at += stop
            self._offset += stop
            data, rows = _without_blanks(window, ends, stop)
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
        window = self._window(_FIRST_LINE) or b""
        match = _LINE_END.search(re.sub(rb'"[^"]*"?', b"", window) if self._quoted else window)
        if match is not None and match[0] == b"\r" and (match.end() < len(window) or self._ended):
            self._returns = True
            self._buffer = self._buffer.replace(b"\r", b"\n")
        return self._returns

    def _window(self, size: int) -> bytes | None:
        """The next `size` bytes, all that are left where there are fewer, None at the end."""
        # One byte more than asked for tells whether these are the last, however the stream hands out its bytes.
        missing = size + 1 - (len(self._buffer) - self._at)
        if missing > 0 and not self._ended:
            pieces = [self._buffer[self._at :]]
            # More than is missing: the rest of a chunk would else be copied for each of the next ones.
            wanted = max(missing, size)
            while wanted > 0:
                piece = self._stream.read(wanted)
                if not piece:
                    self._ended = True
                    break
                pieces.append(piece.replace(b"\r", b"\n") if self._returns else piece)
                wanted -= len(piece)
            self._buffer, self._at = b"".join(pieces), 0
        return self._buffer[self._at : self._at + size] or None

    @staticmethod
    def _longer(max_bytes: int) -> int:
        if max_bytes >= LONGEST_RECORD:
            raise ScoringError(
                f"A record is longer than {LONGEST_RECORD >> 20} MB.", hint="Is there a quote that is never closed?"
            )
        return max_bytes * 2

    @staticmethod
    def _with_last(ends: Array, window: bytes) -> Array:
        """The last record of all needs no newline. Its quotes may be open; whoever reads it will say so."""
        last = int(ends[-1]) + 1 if len(ends) else 0
        return np.append(ends, len(window)) if last < len(window) else ends


def _record_ends(window: bytes, quoted: bool) -> Array:
    """Where the newlines are that end a record."""
    text = np.frombuffer(window, dtype=np.uint8)
    newlines = np.flatnonzero(text == _NEWLINE)
    if quoted and b'"' in window:
        # A newline with an odd number of quotes before it stands inside a cell; a doubled quote changes nothing.
        quotes = np.flatnonzero(text == _QUOTE)
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    return newlines


def split(data: bytes, *, quoted: bool) -> list[bytes]:
    """The records of a chunk, one by one, without their line ends."""
    ends = _record_ends(data, quoted).tolist()
    if not ends or ends[-1] != len(data) - 1:
        ends.append(len(data))
    starts = [0, *(end + 1 for end in ends[:-1])]
    return [data[start:end].removesuffix(b"\r") for start, end in zip(starts, ends, strict=True)]


def _without_blanks(window: bytes, ends: Array, stop: int) -> tuple[bytes, int]:
    """Whole records as they stand, without lines that have nothing in them, and how many there are."""
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts
    text = np.frombuffer(window, dtype=np.uint8)
    first = text[np.minimum(starts, len(text) - 1)]
    blank = (lengths == 0) | ((lengths == 1) & (first == _RETURN))
    if not blank.any():
        return window[:stop], len(ends)
    kept = [window[s : e + 1] for s, e, gone in zip(starts, ends, blank, strict=True) if not gone]
    return b"".join(kept), len(kept)
