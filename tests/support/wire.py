"""A connection in process: bytes in, bytes out, through the HTTP protocol that servers run."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.http.connection.interface import Shortcuts
from penstock.http.connection.protocol import BoundedProtocol, ServerLines


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def connect(app: Any, *, keep_alive: int = 75) -> tuple[BoundedProtocol, Wire]:
    """A new connection to an application, with the shortcuts that it brings, and what it writes to."""
    shortcuts = getattr(app, "shortcuts", None) or Shortcuts()
    config = Config(
        app, http=BoundedProtocol, ws="none", interface="asgi3", proxy_headers=False, log_config=None,
        timeout_keep_alive=keep_alive,
    )  # fmt: skip
    config.load()
    protocol = BoundedProtocol(
        config, ServerState(), {}, asyncio.get_running_loop(), shortcuts=shortcuts, lines=ServerLines()
    )
    wire = Wire()
    protocol.connection_made(wire)
    return protocol, wire


def request(body: bytes, *headers: str, path: str = "/invocations", method: str = "POST") -> bytes:
    """The bytes of a request."""
    head = [f"{method} {path} HTTP/1.1", "host: test", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


# What differs between two answers to the same request.
_OWN = ("date", "x-request-id", "server-timing", "server")


def answers(written: bytes) -> list[tuple[str, dict[str, str], bytes]]:
    """Status line, headers (without those of the moment) and body of each answer."""
    found = []
    while written:
        head, _, written = written.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        kept = {k: v for k, v in headers.items() if k not in _OWN}
        kept |= {k: "there" for k in _OWN if k in headers}
        found.append((status, kept, written[:length]))
        written = written[length:]
    return found


REQUEST = b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"


class Talk:
    """One connection to an application that answers when told, and reads a body only if asked to."""

    def __init__(self, *, keep_alive: int = 75) -> None:
        self.answer = asyncio.Event()
        self.started = 0
        self.protocol, self.wire = connect(self._app, keep_alive=keep_alive)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.started += 1
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def sweeps_until_closed(self, most: int = 100) -> int:
        for number in range(1, most + 1):
            self.protocol.sweep()
            if self.wire.closed:
                return number
        return 0
