"""The number of files that a process may have open, and the connections that there is no room for.

Each connection is a file. Once none is free, the system accepts no connection, and nothing that is served can open a
file either: a load, a reader process, a log. So the last ones are kept for the server itself, and a client beyond them
is told so.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from time import monotonic

from penstock.http.errors import CLOSE, ErrorAnswer

log = logging.getLogger("penstock.server")

# Files kept for the server itself, where the limit is not a small one.
_KEPT = 64
# Seconds between two lines in the log.
_QUIET = 60.0

NO_ROOM = ErrorAnswer(
    503, b"Too many connections are open; try again later.", (CLOSE, (b"retry-after", b"1")), b"text/plain"
)


class FileLimit:
    """One for all connections of a server."""

    def __init__(self, *, limit: Callable[[], int] | None = None, now: Callable[[], float] = monotonic) -> None:
        self._limit = limit or _soft_limit
        self._now = now
        # The whole mutable state: when the log last told, and what was refused since.
        self._told = -_QUIET
        self._refused = 0

    def refuses(self, file: int) -> bool:
        """Whether the connection with this number, the lowest that was free, takes one that is kept. Such are logged,
        once a minute."""
        if file < self._limit() - self._kept:
            return False
        self._refused += 1
        self.tell(f"{self._refused} connections refused: too many are open")
        return True

    def may_stay(self, file: int) -> bool:
        """Whether a refused connection may stay open for a moment. The last files are for accepting others: where there
        are none, they are closed without a word."""
        return file < self._limit() - self._kept // 2

    @property
    def _kept(self) -> int:
        return min(_KEPT, self._limit() // 4)

    def tell(self, what: str) -> None:
        """Logs once a minute that files are short."""
        if self._now() - self._told >= _QUIET:
            self._told, self._refused = self._now(), 0
            log.error(
                "%s. This process may open %d files; raise the limit (ulimit -n), or lower keep_alive.",
                what,
                self._limit(),
            )

    def __repr__(self) -> str:
        return f"<FileLimit {self._limit()}, {self._refused} refused lately>"


def _soft_limit() -> int:
    """RLIMIT_NOFILE as it is now; a number that is never reached where there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft
