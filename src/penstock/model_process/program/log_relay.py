"""What a model prints, as lines for a log, no more of them than a log should bear.

Pure: bytes and times in, lines out.
"""

from __future__ import annotations

# So many lines at once, and so many a second after that; what is more is counted.
BURST = 200
LINES_A_SECOND = 20.0
_LONGEST = 4000
_TELL_EVERY = 1.0


class LogRelay:
    """Cuts a stream of bytes into lines and lets so many through."""

    def __init__(self, now: float, *, burst: int = BURST, rate: float = LINES_A_SECOND) -> None:
        self._burst = burst
        self._rate = rate
        # The whole mutable state: the line under way, how many lines may pass and since when that is so, how many were
        # left out, and when that is to be told.
        self._begun = b""
        self._allowed = float(burst)
        self._since = now
        self._left_out = 0
        self._tell_at = now

    def add(self, data: bytes, now: float) -> bytes:
        """The lines to hand on now."""
        self._allowed = min(float(self._burst), self._allowed + (now - self._since) * self._rate)
        self._since = now
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._begun += rest[: _LONGEST - len(self._begun)]  # the rest of an endless line is lost
            return b""
        if self._allowed < 1:
            self._drop(whole.count(b"\n") + 1, now)
            self._begun = rest[:_LONGEST]
            return b""
        lines = (self._begun + whole).split(b"\n")
        self._begun = rest[:_LONGEST]
        passing = int(self._allowed)
        if len(lines) > passing:
            self._drop(len(lines) - passing, now)
        self._allowed -= min(len(lines), passing)
        return b"".join(line[:_LONGEST] + b"\n" for line in lines[:passing])

    def _drop(self, count: int, now: float) -> None:
        if not self._left_out:
            self._tell_at = now + _TELL_EVERY
        self._left_out += count

    def patience(self, now: float) -> float | None:
        """Seconds until there is something to tell unasked; None where there is nothing."""
        return max(0.0, self._tell_at - now) if self._left_out else None

    def due(self, now: float) -> bytes:
        """Tells how much was left out, once in a while."""
        if not self._left_out or now < self._tell_at:
            return b""
        told, self._left_out = self._left_out, 0
        return b"(%d lines left out)\n" % told

    def last(self) -> bytes:
        """A line that never ended, and what was left out."""
        begun = self._begun + b"\n" if self._begun else b""
        return begun + (b"(%d lines left out)\n" % self._left_out if self._left_out else b"")
