"""One request to an ASGI application, without a server between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: the HTTP `status`, `headers` by their names in lower case, and the `body`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body's value, NaN and Infinity among them, which MLflow writes. Raises ValueError where it is no JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


async def call(app: ASGIApp, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
    """The application's whole answer to one request."""
    path, _, query = path.partition("?")
    sent = {"host": "testserver", "content-length": str(len(body)), **{k.lower(): v for k, v in headers.items()}}
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    status, received, parts = 500, {}, list[bytes]()

    answered = asyncio.Event()

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await answered.wait()  # a client that left before would get no answer
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, received
        if message["type"] == "http.response.start":
            status = message["status"]
            received = {name.decode().lower(): value.decode("latin-1") for name, value in message.get("headers", ())}
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                answered.set()

    await app(scope, receive, send)
    return HttpAnswer(status, received, b"".join(parts))


class LoopBridge:
    """An application that runs on one event loop, for callers on any: each request is carried there, and what it sends
    and receives back. A gateway belongs to the loop that it was started on, and is started and closed by whoever made
    it: a server or client that asks for that is told that it is done."""

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        callers = asyncio.get_running_loop()
        if callers is self._loop:
            await self._app(scope, receive, send)
            return

        async def received() -> Message:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_message(receive), callers))

        async def sent(message: Message) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_told(send, message), callers))

        running = asyncio.run_coroutine_threadsafe(_answered(self._app, scope, received, sent), self._loop)
        await asyncio.wrap_future(running)

    def __repr__(self) -> str:
        return f"<LoopBridge to {self._app!r}>"


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        asked = (await receive())["type"]
        await send({"type": f"{asked}.complete"})
        if asked == "lifespan.shutdown":
            return


# What may be any awaitable, as the coroutine that another thread's loop takes.


async def _message(receive: Receive) -> Message:
    return await receive()


async def _told(send: Send, message: Message) -> None:
    await send(message)


async def _answered(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)
