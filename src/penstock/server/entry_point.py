"""The outermost ASGI layer: access is asked here, ahead of every route; and connections end while the server drains."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.access.policy import GATEWAY_POLICY
from penstock.access.principal import STRANGER
from penstock.http.asgi3 import recognised_as_async
from penstock.http.authorizer import Authorizer
from penstock.http.connection.interface import Shortcuts
from penstock.http.cross_origin import CrossOrigin, is_preflight
from penstock.http.errors import CLOSE, ErrorAnswer
from penstock.http.headers import header, shown
from penstock.http.origins import parse_origin
from penstock.http.routes import RouteTable
from penstock.server.targets import invocation_target
from penstock.serving.gateway import Gateway
from penstock.wire.mlflow.error_codes import error_body

log = logging.getLogger("penstock.server")

_UNAUTHENTICATED = ErrorAnswer(
    401,
    error_body("UNAUTHENTICATED", "A valid token is required: Authorization: Bearer TOKEN."),
    ((b"www-authenticate", b"Bearer"), CLOSE),  # the body is left unread
)


class EntryPoint:
    """Lets a request in if its caller may do what its route is for. Nothing is reached except through here, but for the
    shortcuts, which ask the same `access`. Where there is an `admin_port`, `app` answers there, and on any other port
    `public`, which has fewer routes.

    Predictions, which are nearly all there is, go directly to their endpoint, past Starlette's routing.
    """

    def __init__(
        self,
        app: ASGIApp,
        invocations: ASGIApp,
        gateway: Gateway,
        access: Authorizer,
        routes: RouteTable,
        *,
        public: ASGIApp,
        admin_port: int | None = None,
        shortcuts: Shortcuts,
        cross_origin: CrossOrigin | None = None,
        on_close: Callable[[], None],
    ) -> None:
        self.shortcuts = shortcuts
        self.routes = routes
        self._app = app
        self._public = public
        self._admin_port = admin_port
        self._invocations = invocations
        self._gateway = gateway
        self._access = access
        self._cross_origin = cross_origin
        self._on_close = on_close

    @recognised_as_async
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """No coroutine itself, which would be one more for every prediction."""
        if self._cross_origin is not None and scope["type"] == "http":
            send = self._cross_origin.added(scope, send)
        if scope["type"] == "http" and scope["method"] == "POST" and not self._gateway.draining:
            target = invocation_target(scope["path"])
            if target is not None and self._access.admits(scope, "predict", target.get("name")):
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
        if is_preflight(scope):
            await self._answer_preflight(scope, send)
            return
        if (refusal := self._refusal(scope)) is not None:
            await refusal.send(send)
            return
        app = self._app if self._admin_port in (None, (scope["server"] or ("", 0))[1]) else self._public
        try:
            await app(scope, receive, send)
        except Exception:  # it is answered by now, as far as that can be done
            log.exception("%s %s failed.", scope["method"], ascii(scope["path"][:200]))

    async def _answer_preflight(self, scope: Scope, send: Send) -> None:
        """A browser asks whether a page may send a request: without a token, and nothing that a model knows."""
        if self._cross_origin is None or not self._cross_origin.admits(scope):
            await _not_let_in(header(scope, b"origin") or b"").send(send)
            return
        await send({"type": "http.response.start", "status": 204, "headers": self._cross_origin.preflight(scope)})
        await send({"type": "http.response.body", "body": b""})

    def _refusal(self, scope: Scope) -> ErrorAnswer | None:
        """The answer to a caller who may not do what the route is for; None to one who may."""
        caller = self._access.identify(scope)
        found = self.routes.find(scope["method"], scope["path"])
        # That there is nothing is no business of strangers.
        needs, model = ("token", None) if found is None else (found[0].needs, found[1].get("name"))
        if GATEWAY_POLICY.allows(caller, needs, model):
            return None
        reason = GATEWAY_POLICY.reason(caller, needs, shown=header(scope, b"authorization") is not None)
        self._gateway.metrics.access_refused.labels(reason).inc()
        if caller is STRANGER:
            return _UNAUTHENTICATED
        return ErrorAnswer(403, error_body("PERMISSION_DENIED", GATEWAY_POLICY.why_refused(caller, needs)), (CLOSE,))

    def close(self) -> None:
        """Releases what the application opened."""
        self._on_close()

    def __repr__(self) -> str:
        return f"<EntryPoint of {self.routes!r}, {self._access!r}>"


def _not_let_in(origin: bytes) -> ErrorAnswer:
    """Whoever reads it has opened the browser's network panel: the page itself is told nothing."""
    try:
        setting = f"PENSTOCK_CORS_ORIGIN={parse_origin(origin.decode('latin-1'))}"
    except ValueError:
        setting = "PENSTOCK_CORS_ORIGIN='*'"
    message = f"Pages of the origin {shown(origin)} may not use this server. Its operator lets them in by {setting}."
    return ErrorAnswer(403, error_body("PERMISSION_DENIED", message), (CLOSE,))


def _closing(send: Send) -> Send:
    """Asks the client to open its next connection elsewhere."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message.get("headers", ()) if pair[0] != b"connection"]
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
        await send(message)

    return wrapped
