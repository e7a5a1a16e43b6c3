"""The outermost ASGI layer: one check of the token before any routing, and the farewell while draining."""

from __future__ import annotations

import hmac

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.server.bodies import header
from penstock.server.protocol import EXCHANGE
from penstock.server.refusals import Refusals
from penstock.server.statuses import error_body
from penstock.server.targets import invocation_target
from penstock.serving.gateway import Gateway

# Probes carry no credentials and learn nothing but alive, ready, or not; the page is static, and asks for the token.
_OPEN_PATHS = frozenset({"/ping", "/health", "/livez", "/readyz", "/docs", "/docs/docs.css", "/docs/docs.js"})


class Door:
    """Lets a request in if it carries the bearer token (where one is set). Nothing is reached except through here.

    Predictions, which are nearly all there is, go straight to their endpoint, past the application's routing.
    """

    def __init__(
        self, app: ASGIApp, invocations: ASGIApp, refusals: Refusals, gateway: Gateway, *, token: str = ""
    ) -> None:
        # The short cut of the HTTP protocol, which knows no token.
        self.refusals = None if token else refusals
        self._app = app
        self._invocations = invocations
        self._gateway = gateway
        self._expected = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        if self._gateway.draining:
            send = _closing(send)
            scope.pop(EXCHANGE, None)  # which knows nothing of that
        if self._expected and scope["path"] not in _OPEN_PATHS and not self._admits(scope):
            await _refuse(send)
            return
        if scope["method"] == "POST" and (target := invocation_target(scope["path"])) is not None:
            scope["path_params"] = target
            await self._invocations(scope, receive, send)
            return
        scope.pop(EXCHANGE, None)
        await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        scheme, _, token = (header(scope, b"authorization") or b"").partition(b" ")
        return hmac.compare_digest(scheme.capitalize() + b" " + token.strip(), self._expected)


def _closing(send: Send) -> Send:
    """Asks the client to open its next connection elsewhere."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message.get("headers", ()) if pair[0] != b"connection"]
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
        await send(message)

    return wrapped


async def _refuse(send: Send) -> None:
    body = error_body("UNAUTHENTICATED", "A valid token is needed: Authorization: Bearer TOKEN.")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
        (b"connection", b"close"),  # the body is left unread
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
