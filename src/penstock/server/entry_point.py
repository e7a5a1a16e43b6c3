"""The outermost ASGI layer: one check of the token before any routing, and the farewell while draining."""

from __future__ import annotations

from collections.abc import Awaitable, Set

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.access.tokens import BearerToken
from penstock.server.connection.fast_path import FastPath
from penstock.server.connection.load_shedder import LoadShedder
from penstock.server.statuses import error_body
from penstock.server.targets import invocation_target
from penstock.serving.gateway import Gateway

# Probes carry no credentials and learn nothing but alive, ready, or not; the page is static, and asks for the token.
_OPEN_PATHS = frozenset({"/ping", "/health", "/livez", "/readyz", "/docs", "/docs/docs.css", "/docs/docs.js"})


class EntryPoint:
    """Lets a request in if it carries the bearer token (where one is set). Nothing is reached except through here.
    Where there is an `admin_port`, `app` answers there, and on any other port `public`, which has less.

    Predictions, which are nearly all there is, go straight to their endpoint, past the application's routing.
    """

    def __init__(
        self,
        app: ASGIApp,
        invocations: ASGIApp,
        gateway: Gateway,
        token: BearerToken,
        *,
        fast_path: FastPath,
        load_shedder: LoadShedder,
        public: ASGIApp | None = None,
        admin_port: int | None = None,
        open_paths: Set[str] = frozenset(),
    ) -> None:
        # What the HTTP connection asks before there is an ASGI request.
        self.refusals = load_shedder
        self.straight = fast_path
        self._app = app
        self._public = public or app
        self._admin_port = admin_port
        self._invocations = invocations
        self._gateway = gateway
        self._token = token
        self._open_paths = _OPEN_PATHS | open_paths

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """No coroutine itself, which would be one more for every prediction."""
        if scope["type"] == "http" and not self._gateway.draining and self._token.admits(scope):
            target = invocation_target(scope["path"]) if scope["method"] == "POST" else None
            if target is not None:
                scope["path_params"] = target
                return self._invocations(scope, receive, send)
        return self._any(scope, receive, send)

    async def _any(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        if self._gateway.draining:
            send = _closing(send)
        if scope["path"] not in self._open_paths and not self._token.admits(scope):
            await _refuse(send)
            return
        app = self._app if self._admin_port in (None, (scope["server"] or ("", 0))[1]) else self._public
        await app(scope, receive, send)


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
