"""Which task a free reader takes next. Pure: no clock, no process.

Whoever has used readers least of late goes first, and of one client's tasks, or of clients that have used nothing, the
small ones do. Neither one client nor large bodies may have all readers, so that a small body of somebody else waits for
no large one. What has waited long goes first all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

# A task of more bytes is large.
LARGE = 1 << 20

# Tasks that may wait, of all clients and of one.
MAX_WAITING = 128
MAX_WAITING_OF_ONE = 64

# Seconds after which a task goes first, and in which what a client has used fades to a third.
_LONG = 5.0
_FADES_IN = 10.0
# Used seconds within so much of each other count as equal.
_EQUAL = 0.05


@dataclass(eq=False, slots=True)
class Waiting:
    """A task that wants a reader: who sends it, its size in bytes, and since when (seconds of any one clock)."""

    client: str
    size: int
    since: float

    @property
    def large(self) -> bool:
        return self.size > LARGE


class ReaderQueue:
    """What waits for one of `readers`, and what runs."""

    def __init__(self, readers: int) -> None:
        self.readers = readers
        # The whole state: what waits and what runs, by their order; and the seconds that each client has used, with
        # the moment at which they were that.
        self.waiting: list[Waiting] = []
        self.running: list[Waiting] = []
        self._used: dict[str, tuple[float, float]] = {}

    def refuses(self, client: str) -> bool:
        """Whether there is no room for another task of this client."""
        own = sum(task.client == client for task in self.waiting)
        return len(self.waiting) >= MAX_WAITING or own >= MAX_WAITING_OF_ONE

    def take(self, now: float) -> Waiting | None:
        """The next task, which runs from now on; None where none may run."""
        if not self.waiting or len(self.running) >= self.readers:
            return None
        allowed = [task for task in self.waiting if self._may_run(task)]
        if not allowed:
            return None
        task = min(allowed, key=lambda task: self._rank(task, now))
        self.waiting.remove(task)
        self.running.append(task)
        return task

    def _may_run(self, task: Waiting) -> bool:
        """One reader is left to others: other clients, and small bodies."""
        others = max(1, self.readers - 1)
        own = sum(running.client == task.client for running in self.running)
        large = sum(running.large for running in self.running)
        return own < others and (not task.large or large < others)

    def _rank(self, task: Waiting, now: float) -> tuple[bool, float, int, float]:
        late = now - task.since > _LONG
        if late:
            return False, 0.0, 0, task.since
        return True, round(self._seconds_used(task.client, now) / _EQUAL), task.size, task.since

    def _seconds_used(self, client: str, now: float) -> float:
        used, then = self._used.get(client, (0.0, now))
        return used * exp((then - now) / _FADES_IN)

    def finish(self, task: Waiting, seconds: float, now: float) -> None:
        """A task that ran, or waited, is over; its reader was busy for so many seconds."""
        (self.running if task in self.running else self.waiting).remove(task)
        self._used[task.client] = self._seconds_used(task.client, now) + seconds, now
        if len(self._used) > 1024:  # a day has many clients; who has used nothing lately is like a new one
            self._used = {c: u for c, u in self._used.items() if self._seconds_used(c, now) > _EQUAL}

    def __repr__(self) -> str:
        return f"<ReaderQueue {len(self.running)} of {self.readers} busy, {len(self.waiting)} waiting>"
