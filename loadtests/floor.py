"""The floor: the same HTTP server answering constant bytes. Nothing that reads a request can be faster."""

from __future__ import annotations

from typing import Any

_BODY = b'{"predictions":[0]}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(_START)
    await send({"type": "http.response.body", "body": _BODY})
