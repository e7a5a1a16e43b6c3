"""A client that sends one hostile request, and two that ask a server all the while whether it is there."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from hostile.body import JSON, HostileBody, Steps

_PAUSE = 0.005
NO_ANSWER = "none"


class Asking:
    """Asks one thing over and over while the block runs; the longest that an answer took, in seconds."""

    def __init__(
        self, port: int, method: str, path: str, body: bytes = b"", *, patience: float, pause: float = _PAUSE
    ) -> None:
        self._pause = pause
        self._ask: Callable[[], int] = lambda: ask(port, method, path, body, patience)[0]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began: float | None = None
        self.longest = 0.0
        self.count = 0

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """An answer that is still awaited counts with what it has taken so far."""
        self._ended.set()
        self._thread.join(2.0)
        if (began := self._began) is not None:
            self.longest = max(self.longest, time.perf_counter() - began)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._began = time.perf_counter()
            with suppress(OSError, http.client.HTTPException):
                self._ask()
            self.longest = max(self.longest, time.perf_counter() - self._began)
            self._began = None
            self.count += 1
            self._ended.wait(self._pause)


def ask(port: int, method: str, path: str, body: bytes, patience: float) -> tuple[int, bytes]:
    """Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, path, body, {"Content-Type": JSON})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def send(port: int, hostile: HostileBody, body: bytes, patience: float) -> tuple[str, bytes, float]:
    """Sends a hostile request in a thread while the answer is awaited here: its status, or NO_ANSWER; how its body
    begins; the seconds from the last byte that was sent to the first of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        sender = _Sender(connection, hostile.sent(body))
        try:
            answer = http.client.HTTPResponse(connection, method="POST")
            answer.begin()
            seconds = sender.seconds_since()
            with suppress(OSError, http.client.HTTPException):
                return str(answer.status), _drained(answer), seconds
            return str(answer.status), b"", seconds
        except (OSError, http.client.HTTPException) as error:
            return NO_ANSWER, type(error).__name__.encode(), sender.seconds_since()
        finally:
            sender.leave()


class _Sender:
    """Carries a client's steps out in a thread of its own, so that an answer that comes early is read."""

    def __init__(self, connection: socket.socket, steps: Steps) -> None:
        self._connection, self._steps = connection, steps
        self._last = time.perf_counter()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def seconds_since(self) -> float:
        return max(time.perf_counter() - self._last, 0.0)

    def leave(self) -> None:
        """Waits a moment for what is still to be sent, then lets go of the connection."""
        self._thread.join(3.0)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(3.0)

    def _run(self) -> None:
        with suppress(OSError):
            for step in self._steps:
                if isinstance(step, bytes):
                    self._connection.sendall(step)
                elif step is None:
                    self._connection.shutdown(socket.SHUT_WR)
                else:
                    time.sleep(step)
                self._last = time.perf_counter()


def _drained(answer: http.client.HTTPResponse) -> bytes:
    """Reads all of an answer and keeps how it begins."""
    start = answer.read(400)
    while answer.read(1 << 20):
        pass
    return start
