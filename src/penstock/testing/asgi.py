"""One request to an ASGI application, without a server between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope


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
