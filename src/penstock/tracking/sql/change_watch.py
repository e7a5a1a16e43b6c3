"""Waiting for changes, by whomever they are made: one thread looks at the counter for all who wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

# How often the counter is looked at while somebody waits: what a change is late by, at most.
_LOOK_SECONDS = 0.05


class ChangeWatch:
    """Looks only while somebody waits. `read` is the counter, in a few microseconds on SQLite."""

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._condition = threading.Condition()
        # Mutable state, under the condition: whether one of those who wait looks for all, and the end.
        self._looking = False
        self._closed = False
        self._seen = -1

    def wait(self, after: int, timeout: float) -> int:
        """The counter as soon as it is greater than `after`, or what it is after `timeout` seconds."""
        until = monotonic() + timeout
        while True:
            now = self._look(after, until)
            if now > after or self._closed or monotonic() >= until:
                return now

    def close(self) -> None:
        """Those who wait stop waiting."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _look(self, after: int, until: float) -> int:
        """One look, by this thread or by another that looks already."""
        with self._condition:
            if self._looking:
                self._condition.wait(max(0.0, min(_LOOK_SECONDS, until - monotonic())))
                return self._seen
            self._looking = True
        try:
            now = self._read()
        except BaseException:
            with self._condition:
                self._looking = False
                self._condition.notify_all()
            raise
        with self._condition:
            self._seen, self._looking = now, False
            self._condition.notify_all()
            if now <= after and not self._closed:
                self._condition.wait(max(0.0, min(_LOOK_SECONDS, until - monotonic())))
        return now
