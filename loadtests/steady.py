"""Requests at a steady rate, each answer kept: when it was due, sent and there, what version gave it, what is wrong.

An open loop, as generator.py's, for runs in which something happens meanwhile and every single answer matters: a
version is promoted, a package loads, a worker dies. Slower than the generator, which only counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

from generator import Tick, content_length

# Says what is wrong with an answer's version and body; None where all fits.
Check: TypeAlias = Callable[[str, bytes], str | None]
# The bytes of the next request, and what to make of its answer.
Ask: TypeAlias = Callable[[], tuple[bytes, Check]]

_TICK = 0.0005
_GRACE = 30.0


@dataclass(slots=True)
class Asked:
    """One request. Moments on perf_counter; `done` is 0 and `status` too while there is no answer. `port` is the
    connection's own, so that one can tell which process had it."""

    due: float
    check: Check
    request: bytes
    sent: float = 0.0
    done: float = 0.0
    status: int = 0
    version: str = ""
    wrong: str | None = None
    port: int = 0

    @property
    def seconds(self) -> float:
        """From when it was due."""
        return self.done - self.due

    @property
    def failed(self) -> bool:
        return self.status != 200 or self.wrong is not None


def anything(version: str, body: bytes) -> str | None:
    return None


def request_bytes(method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def always(request: bytes, check: Check = anything) -> Ask:
    return lambda: (request, check)


class Connection(asyncio.Protocol):
    """One kept connection with at most one request on its way."""

    def __init__(self, load: Steady) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._port = 0
        self._closing = False
        self.asked: Asked | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._port = transport.get_extra_info("sockname")[1]
        self._load._free_again(self)

    def send(self, asked: Asked) -> None:
        assert self._transport is not None
        self.asked = asked
        asked.port = self._port
        asked.sent = perf_counter()
        self._transport.write(asked.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[: end + 2].lower()
        if len(self._buffer) < end + 4 + content_length(head):
            return
        body, self._buffer = self._buffer[end + 4 :], b""
        asked, self.asked = self.asked, None
        assert asked is not None
        asked.done = perf_counter()
        asked.status = int(head[9:12])
        asked.version = _header(head, b"x-model-version")
        if asked.status == 200:
            asked.wrong = asked.check(asked.version, body)
        else:
            asked.wrong = body[:200].decode(errors="replace")
        if self._closing or b"\r\nconnection: close\r\n" in head:
            self.close()
        else:
            self._load._free_again(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.asked is not None:
            self.asked.done = perf_counter()
            self.asked.wrong = "the connection was lost"
        self._load._lost(self)

    def close_when_free(self) -> None:
        """Ends after the answer that is on its way; another one is opened in its place."""
        self._closing = True
        if self.asked is None:
            self._load.forget(self)
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _header(head: bytes, name: bytes) -> str:
    at = head.find(b"\r\n" + name + b": ")
    return "" if at < 0 else head[at + len(name) + 4 : head.find(b"\r\n", at + 2)].decode()


class Steady:
    """The load on one server, from `async with` on until its end; what is on its way then is waited for."""

    def __init__(self, host: str, port: int, ask: Ask, *, rate: float, connections: int = 64) -> None:
        self._address = (host, port)
        self._ask = ask
        self._rate = rate
        self._wanted = connections
        # The whole mutable state: all requests ever due, connections, those that are free, requests that wait for one,
        # what is opened anew, whether all is over.
        self.asked: list[Asked] = []
        self.connections: set[Connection] = set()
        self._free: deque[Connection] = deque()
        self._due: deque[Asked] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._over = False
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Steady:
        for _ in range(self._wanted):
            await self._open()
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sending is not None
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        give_up = perf_counter() + _GRACE
        while (self._due or any(c.asked for c in self.connections)) and perf_counter() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self._over = True
        now = perf_counter()
        for asked in [*self._due, *(c.asked for c in self.connections if c.asked)]:
            asked.done, asked.wrong = now, "no answer came"
        for connection in list(self.connections):
            connection.close()
        for task in self._opening:
            task.cancel()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), *self._address)
        self.connections.add(connection)

    async def _open_again(self) -> None:
        while not self._over:
            try:
                await self._open()
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return

    async def _send(self) -> None:
        begin, number = perf_counter(), 0
        tick = Tick(_TICK)
        try:
            while True:
                now = perf_counter()
                while begin + number / self._rate <= now:
                    request, check = self._ask()
                    asked = Asked(begin + number / self._rate, check, request)
                    self.asked.append(asked)
                    if self._free:
                        self._free.popleft().send(asked)
                    else:
                        self._due.append(asked)
                    number += 1
                await tick.next()
        finally:
            tick.close()

    def _free_again(self, connection: Connection) -> None:
        if self._due:
            connection.send(self._due.popleft())
        else:
            self._free.append(connection)

    def forget(self, connection: Connection) -> None:
        """It gets no more requests."""
        self.connections.discard(connection)
        if connection in self._free:
            self._free.remove(connection)

    def _lost(self, connection: Connection) -> None:
        self.forget(connection)
        if not self._over:
            task = asyncio.get_running_loop().create_task(self._open_again())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def __repr__(self) -> str:
        return f"<Steady {self._rate:g}/s, {len(self.asked)} asked, {len(self._due)} waiting, {len(self._free)} free>"


def percentile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
