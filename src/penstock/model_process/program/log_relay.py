"""What a model prints, as lines for a log, bounded in number, since a log should not be flooded.

Pure: bytes and times in, lines out.
"""

from __future__ import annotations

# So many lines at once, and so many a second after that; what is more is counted.
BURST = 200
LINES_A_SECOND = 20.0
_MAX_LINE = 4000
_REPORT_EVERY = 1.0


class LogRelay:
    """Cuts a stream of bytes into lines and lets so many through."""

    def __init__(self, now: float, *, burst: int = BURST, rate: float = LINES_A_SECOND) -> None:
        self._burst = burst
        self._rate = rate
        # The whole mutable state: the line under way, how many lines may pass and since when that is so, how many were
        # left out, and when that is reported.
        self._begun = b""
        self._allowed = float(burst)
        self._since = now
        self._left_out = 0
        self._report_at = now

    def add(self, data: bytes, now: float) -> bytes:
        """The lines to hand on now."""
        self._allowed = min(float(self._burst), self._allowed + (now - self._since) * self._rate)
        self._since = now
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._begun += rest[: _MAX_LINE - len(self._begun)]  # the rest of an endless line is lost
            return b""
        if self._allowed < 1:
            self._drop(whole.count(b"\n") + 1, now)
            self._begun = rest[:_MAX_LINE]
            return b""
        lines = (self._begun + whole).split(b"\n")
        self._begun = rest[:_MAX_LINE]
        passing = int(self._allowed)
        if len(lines) > passing:
            self._drop(len(lines) - passing, now)
        self._allowed -= min(len(lines), passing)
        return b"".join(line[:_MAX_LINE] + b"\n" for line in lines[:passing])

    def _drop(self, count: int, now: float) -> None:
        if not self._left_out:
            self._report_at = now + _REPORT_EVERY
        self._left_out += count

    def timeout(self, now: float) -> float | None:
        """Seconds until lines that were left out are due to be reported; None where there are none."""
        return max(0.0, self._report_at - now) if self._left_out else None

    def due(self, now: float) -> bytes:
        """A line that says how much was left out, once in a while."""
        if not self._left_out or now < self._report_at:
            return b""
        count, self._left_out = self._left_out, 0
        return b"(%d lines left out)\n" % count

    def last(self) -> bytes:
        """A line that never ended, and what was left out."""
        begun = self._begun + b"\n" if self._begun else b""
        return begun + (b"(%d lines left out)\n" % self._left_out if self._left_out else b"")
