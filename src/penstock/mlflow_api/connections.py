"""HTTP connections that hold a whole call to its deadline, however slowly a server sends, and that go nowhere inside.

urllib3's timeouts are for each read: a server that sends a byte a second, in its head or its body, keeps them for ever.
Here every read of an answer has what is left of the call's time.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any, TypeAlias

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

# How many seconds are left for a call.
TimeLeft: TypeAlias = Callable[[], float]


class _Call(threading.local):
    """The call that this thread makes: its time, and the host and port that may be inside."""

    time_left: TimeLeft | None = None
    own_host = ""
    own_port: int | None = None


_call = _Call()


@contextmanager
def calling(time_left: TimeLeft, own_host: str, own_port: int | None = None) -> Iterator[None]:
    """Around the request for an answer: it and its body have so much time. Any host but `own_host`, the one that the
    operator named, must not lead inside (this machine, or its link, where clouds keep credentials)."""
    before = (_call.time_left, _call.own_host, _call.own_port)
    _call.time_left, _call.own_host, _call.own_port = time_left, own_host, own_port
    try:
        yield
    finally:
        _call.time_left, _call.own_host, _call.own_port = before


class _TimedReader(io.RawIOBase):
    """Reads a socket, each time for no longer than the call has left."""

    def __init__(self, sock: socket.socket, time_left: TimeLeft) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._time_left = time_left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._time_left()
        if left <= 0:
            raise TimeoutError("the call took too long")
        silence = self._sock.gettimeout()
        self._sock.settimeout(left if silence is None else min(silence, left))
        try:
            return self._raw.readinto(buffer)
        finally:
            if self._sock.fileno() >= 0:
                self._sock.settimeout(silence)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        if (time_left := _call.time_left) is not None:
            untimed, self.fp = self.fp, io.BufferedReader(_TimedReader(sock, time_left))
            untimed.close()


def leads_inside(address: str) -> bool:
    """Whether an IP address is this machine's own, or one that only its own network link has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_link_local or found.is_unspecified


def _is_own(address: str, port: int) -> bool:
    """Whether it is the operator's own server on this machine, under another of the machine's names."""
    return port == _call.own_port and _is_loopback(address) and _is_loopback(_call.own_host)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_inside(connection: HTTPConnection) -> None:
    """What is checked is the address that it is connected to: a name may mean another one a moment later."""
    if connection.host == _call.own_host or connection.proxy is not None or connection.sock is None:
        return
    address = str(connection.sock.getpeername()[0])
    if leads_inside(address) and not _is_own(address, connection.port):
        connection.close()
        raise NewConnectionError(connection, f"] {connection.host}: {address} leads inside, and only the registry may")


class TimedHTTPConnection(HTTPConnection):
    response_class = _TimedResponse

    def connect(self) -> None:
        super().connect()
        _refuse_inside(self)


class TimedHTTPSConnection(HTTPSConnection):
    response_class = _TimedResponse

    def connect(self) -> None:
        super().connect()
        _refuse_inside(self)


class _TimedHTTPPool(HTTPConnectionPool):
    ConnectionCls = TimedHTTPConnection


class _TimedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = TimedHTTPSConnection


POOLS = {"http": _TimedHTTPPool, "https": _TimedHTTPSPool}
