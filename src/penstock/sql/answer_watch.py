"""Ends waits for a server that does not answer.

One thread watches all connections of a database: a timer a statement would cost more than the statement. All waits may
take the same time, so they end in the order in which they began.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


class Watched:
    """One wait. `given_up` once its connection was ended."""

    __slots__ = ("deadline", "descriptor", "given_up")

    def __init__(self, descriptor: int, deadline: float) -> None:
        self.descriptor = descriptor
        self.deadline = deadline
        self.given_up = False


class AnswerWatch:
    """Ends each connection that is waited for longer than `seconds`, so that whoever waits gets an error."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # Mutable state, under the condition: waits in the order in which they began, the thread, whether it sleeps
        # until there is one, and whether it is to end then.
        self._waits: dict[Watched, None] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = False
        self._closed = False

    @contextmanager
    def over(self, descriptor: int) -> Iterator[Watched]:
        """Watches the connection of this descriptor while the body runs."""
        wait = Watched(descriptor, monotonic() + self.seconds)
        with self._changed:
            if self._thread is None or not self._thread.is_alive():  # a fork has none, and waits that are its parent's
                self._waits.clear()
                self._thread = threading.Thread(target=self._watch, name="penstock-answers", daemon=True)
                self._thread.start()
            elif self._idle:
                self._changed.notify_all()
            self._waits[wait] = None
        try:
            yield wait
        finally:
            with self._changed:
                self._waits.pop(wait, None)

    def close(self) -> None:
        """The thread ends once nothing is waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while self._waits or not self._closed:
                first = next(iter(self._waits), None)
                if first is None:
                    self._idle = True
                    self._changed.wait()
                    self._idle = False
                elif (left := first.deadline - monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    del self._waits[first]
                    first.given_up = True
                    _hang_up(first.descriptor)

    def __repr__(self) -> str:
        return f"<AnswerWatch: {len(self._waits)} waits of at most {self.seconds:g} s>"


def _hang_up(descriptor: int) -> None:
    """Ends whatever waits for this socket, from another thread."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as line:
            line.shutdown(socket.SHUT_RDWR)
    except OSError:  # closed meanwhile
        return
