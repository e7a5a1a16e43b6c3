"""A line of JSON for each request that is answered, or for a share of them.

The event loop only appends to a queue; a thread writes. So a terminal or a pipe that nobody reads blocks that thread
and no request: once the queue is full, lines are dropped and counted.
"""

from __future__ import annotations

import json
import random
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from penstock.error_text import encodable
from penstock.http.events.request_event import LoggedEvent

# Lines that may wait for the writer.
ROOM = 20_000

# Lines are gathered for this time: waking a thread for each would cost every request more than its line.
_GATHER_SECONDS = 0.05
_LAST_SECONDS = 2.0


class AccessLog:
    """Writes with `write`, which may block. `sample` is the share of requests that are logged, `dropped` is called for
    each line that found no room, `worker` is the number of this process where there are several."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        sample: float = 1.0,
        worker: int | None = None,
        dropped: Callable[[], None] = lambda: None,
        room: int = ROOM,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._write = write
        self._sample = sample
        self._origin = {} if worker is None else {"worker": worker}
        self._dropped = dropped
        self._room = room
        self._chance = chance
        # The whole mutable state: events to write, whether the writer was woken for them, whether it is to end.
        self._waiting: deque[LoggedEvent] = deque()
        self._woken = False
        self._wake = threading.Event()
        self._ending = threading.Event()
        # A daemon thread, since it may hang in a write when the process ends.
        self._writer = threading.Thread(target=self._keep_writing, name="penstock-access-log", daemon=True)
        self._writer.start()

    def __call__(self, answered: LoggedEvent) -> None:
        """Takes note of a request. Never waits."""
        if self._sample < 1 and self._chance() >= self._sample:
            return
        if len(self._waiting) >= self._room:
            self._dropped()
            return
        self._waiting.append(answered)
        if not self._woken:
            self._woken = True
            self._wake.set()

    def close(self) -> None:
        """Writes what is left, and waits at most two seconds for it."""
        self._ending.set()
        self._wake.set()
        self._writer.join(_LAST_SECONDS)

    def _keep_writing(self) -> None:
        while self._waiting or not self._ending.is_set():
            self._wake.wait()
            self._wake.clear()
            self._ending.wait(_GATHER_SECONDS)
            self._woken = False  # before the events are taken, so that a later one wakes this thread again
            lines = [_dump(self._line(self._waiting.popleft())) for _ in range(len(self._waiting))]
            try:
                self._write(b"".join(lines))
            except (OSError, ValueError):  # the other end is closed
                for _ in lines:
                    self._dropped()

    def _line(self, answered: LoggedEvent) -> dict[str, Any]:
        return {
            "time": datetime.fromtimestamp(answered.ended, UTC).isoformat(timespec="milliseconds"),
            "level": "info",
            "logger": "penstock.access",
            **self._origin,
            **answered.fields(),
        }

    def __repr__(self) -> str:
        return f"<AccessLog of {self._sample:g} of all, {len(self._waiting)} lines wait>"


def _dump(event: dict[str, Any]) -> bytes:
    """A line of JSON. Never fails: what orjson refuses, as half a character in a name, is written as escapes."""
    try:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return json.dumps(event, default=encodable).encode() + b"\n"
