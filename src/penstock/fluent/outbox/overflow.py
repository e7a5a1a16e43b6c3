"""What the spool does not take while its disk is full or cannot be written: kept and delivered from memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from penstock.fluent.outbox.source import DeliverySource, SpoolChunk

_READ_BYTES = 1024 * 1024


class _Piece(NamedTuple):
    lines: bytes
    entries: int


class Overflow(DeliverySource):
    """At most `limit` bytes. `run_ids` are shared with the segment that it stands in for, which `files` gives."""

    is_ours = True

    def __init__(self, limit: int, run_ids: dict[str, str], files: Callable[[], DeliverySource]) -> None:
        self._limit = limit
        self.run_ids = run_ids
        self._files = files
        # The whole mutable state: pieces of lines with how many entries are in each, and how many pieces and bytes
        # there are and were read.
        self._lock = threading.Lock()
        self._pieces: deque[_Piece] = deque()
        self._delivered = 0
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Overflow: {self._bytes} bytes in memory>"

    @property
    def place(self) -> str:
        return "Memory"

    @property
    def waiting(self) -> int:
        return self._bytes

    @property
    def count(self) -> int:
        """Entries in it."""
        with self._lock:
            return sum(piece.entries for piece in self._pieces)

    def append(self, lines: bytes, count: int) -> bool:
        """Whether there was room for these lines of so many entries."""
        with self._lock:
            if self._bytes + len(lines) > self._limit:
                return False
            self._pieces.append(_Piece(lines, count))
            self._bytes += len(lines)
            return True

    def take(self) -> list[tuple[bytes, int]]:
        """All of it, to be written elsewhere, or put back. Not while it is delivered."""
        with self._lock:
            taken, self._pieces = list(self._pieces), deque()
            self._delivered += len(taken)
            self._bytes = 0
            return [(piece.lines, piece.entries) for piece in taken]

    def read(self) -> SpoolChunk:
        lines: list[bytes] = []
        with self._lock:
            size = taken = 0
            for piece in self._pieces:
                lines += piece.lines[:-1].split(b"\n")
                size, taken = size + len(piece.lines), taken + 1
                if size >= _READ_BYTES:
                    break
            return SpoolChunk(lines, self._delivered + taken)

    def deliver(self, end: int) -> None:
        with self._lock:
            while self._delivered < end and self._pieces:
                self._bytes -= len(self._pieces.popleft().lines)
                self._delivered += 1

    def open_file(self, name: str) -> BinaryIO:
        return self._files().open_file(name)

    def remove_file(self, name: str) -> None:
        self._files().remove_file(name)
