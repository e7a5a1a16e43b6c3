"""Answers of http.client that are over in time, however slowly a server sends.

Its own timeouts are for each read: a server that sends a byte a second, in its head or its body, keeps them for ever.
Here every read of an answer, and every piece of a file that is sent, has what is left of the exchange's time.
"""

from __future__ import annotations

import http.client
import io
import socket
from functools import partial
from time import monotonic
from typing import Any, BinaryIO, Callable

from penstock.fluent.transport.exchange import ExchangeLimits

_PIECE = 1024 * 1024


class ExchangeTime:
    """What is left of it: more with every byte of a file, as the limits have it. `silence` is for one read."""

    def __init__(self, limits: ExchangeLimits, silence: float) -> None:
        self._ends = monotonic() + limits.seconds
        self._per_byte = limits.seconds_per_byte
        self._silence = silence

    def moved(self, size: int) -> None:
        self._ends += size * self._per_byte

    def left(self) -> float:
        """For the next read. Raises TimeoutError where there is none."""
        left = self._ends - monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        return min(left, self._silence)


class TimedFile:
    """A file that is sent."""

    def __init__(self, file: BinaryIO, time: ExchangeTime) -> None:
        self._file = file
        self._time = time

    def read(self, size: int = -1) -> bytes:
        self._time.left()
        piece = self._file.read(size)
        self._time.moved(len(piece))
        return piece


class _TimedReader(io.RawIOBase):
    """Reads a socket, each time for no longer than is left."""

    def __init__(self, sock: socket.socket, time: ExchangeTime) -> None:
        self._sock = sock
        self._raw: Any = sock.makefile("rb", buffering=0)
        self._time = time

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._time.left())
        size: int | None = self._raw.readinto(buffer)
        self._time.moved(size or 0)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, time: ExchangeTime, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        untimed, self.fp = self.fp, io.BufferedReader(_TimedReader(sock, time))
        untimed.close()


def responses_within(time: ExchangeTime) -> Callable[..., http.client.HTTPResponse]:
    """For a connection's `response_class`."""
    return partial(_TimedResponse, time=time)


def body_within(response: http.client.HTTPResponse, limit: int) -> bytes:
    """All of an answer. Raises http.client.HTTPException for one of more than `limit` bytes, or that ends early."""
    if (response.length or 0) > limit:
        raise http.client.HTTPException(_too_long(limit))
    body = bytearray()
    while piece := response.read(_PIECE):
        body += piece
        if len(body) > limit:
            raise http.client.HTTPException(_too_long(limit))
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(body)


def _too_long(limit: int) -> str:
    return f"it answers with more than {limit >> 20} MiB"
