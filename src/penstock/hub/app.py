"""The hub's ASGI application: a route is found, the body read, the handler asked, and every error answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import Receive, Scope, Send

from penstock.errors import PenstockError, TrackingInvalid
from penstock.http.bodies import ClientLeft, answer_unread, read_body
from penstock.http.connection.interface import Shortcuts
from penstock.http.headers import header
from penstock.hub.access.gate import HubGate
from penstock.hub.answers import HubAnswer
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, HubRoutes
from penstock.hub.statuses import answer_of, error_answer

log = logging.getLogger("penstock.hub")

# Bytes of a body of JSON: MLflow's largest batch has a quarter of a megabyte, the profile of a dataset up to 16.
MAX_BODY_BYTES = 64 * 1024 * 1024


class HubApp:
    """Answers every request of the hub. `context` gives the stores, which are there once the hub has started."""

    def __init__(self, routes: Iterable[HubRoute], context: Callable[[], HubContext], gate: HubGate) -> None:
        self.shortcuts = Shortcuts()
        self.routes = HubRoutes(routes)
        self._context = context
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        try:
            found = self.routes.find(scope["method"], scope["path"])
            caller = self._gate.identify(scope)
            # That there is nothing is no business of strangers.
            refused = self._gate.refusal(scope, "read" if found is None else found[0].needs, caller)
            if refused is not None or found is None:
                refused = refused or self._not_found(scope["method"], scope["path"])
                await _send_unread(scope, receive, send, refused)
                return
            route, parameters = found
            request = HubRequest(scope["method"], parameters, Fields({}), scope, caller)
            if route.stream is not None:
                request.fields = Fields.of_query(scope["query_string"])
                await route.stream(self._context(), request, receive, send)
            else:
                await _send(send, await self._answer(route, request, receive), scope["method"])
        except ClientLeft:
            return
        except PenstockError as error:
            await _send(send, answer_of(error), scope["method"])
        except Exception as error:
            log.exception("%s %s failed.", scope["method"], ascii(scope["path"][:200]))
            await _send(send, answer_of(error), scope["method"])

    def close(self) -> None:
        """Nothing is opened here."""

    async def _answer(self, route: HubRoute, request: HubRequest, receive: Receive) -> HubAnswer:
        if request.method in ("GET", "HEAD"):
            request.fields = Fields.of_query(request.scope["query_string"])
        else:
            body = await read_body(request.scope, receive, MAX_BODY_BYTES)
            assert isinstance(body, bytes)  # nothing is spooled
            if body:
                _require_json(header(request.scope, b"content-type"))
            request.fields = Fields.of_json(body)
        assert route.handler is not None
        return await route.handler(self._context(), request)

    def _not_found(self, method: str, path: str) -> HubAnswer:
        """At once and never a 5xx, since MLflow's client repeats those for minutes."""
        if self.routes.knows(path):
            return error_answer(405, "BAD_REQUEST", f"{method} is not allowed for this path.")
        return error_answer(
            404, "ENDPOINT_NOT_FOUND", "This path does not exist here. See docs/hub.md for those that do."
        )

    def __repr__(self) -> str:
        return f"<HubApp with {self.routes!r}>"


def _require_json(content_type: bytes | None) -> None:
    """Raises TrackingInvalid for a body that says that it is something else."""
    kind = (content_type or b"").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise TrackingInvalid(
            "Bad Request. Content-Type must be application/json.", hint="Send Content-Type: application/json."
        )


async def _send(send: Send, answer: HubAnswer, method: str) -> None:
    await send(_start(answer))
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


async def _send_unread(scope: Scope, receive: Receive, send: Send, answer: HubAnswer) -> None:
    await answer_unread(scope, receive, send, _start(answer), b"" if scope["method"] == "HEAD" else answer.body)


def _start(answer: HubAnswer) -> dict[str, Any]:
    length = (b"content-length", str(len(answer.body)).encode())
    return {"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]}
