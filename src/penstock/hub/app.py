"""The hub's ASGI application: a route is found, the body read, the handler asked, and every error answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from penstock.errors import Overloaded, PenstockError, RegistryError, TrackingInvalid
from penstock.http.bodies import ClientLeft, answer_unread
from penstock.http.connection.interface import Shortcuts
from penstock.http.errors import CLOSE
from penstock.http.events.request_event import CLIENT_LEFT
from penstock.http.headers import declared_length, header, request_id
from penstock.hub.access.gate import HubGate
from penstock.hub.answers import GUARD, HubAnswer
from penstock.hub.bodies.held import HeldBody
from penstock.hub.bodies.json_body import check_keepable
from penstock.hub.fast_path import HubFastPath
from penstock.hub.fields import Fields
from penstock.hub.request_event import HubRequestEvent, HubRequestLog
from penstock.hub.requests import HubRequest, check_decoded
from penstock.hub.routes import HubRoute, HubRoutes
from penstock.hub.service import Hub
from penstock.hub.statuses import answer_of, error_answer, in_mlflows_words

log = logging.getLogger("penstock.hub")


class HubApp:
    """Answers every request of the hub. `observe` is told of each."""

    def __init__(
        self,
        routes: Iterable[HubRoute],
        hub: Hub,
        gate: HubGate,
        *,
        observe: Callable[[HubRequestEvent], None] | None = None,
    ) -> None:
        self.routes = HubRoutes(routes)
        self._hub = hub
        self._gate = gate
        self._requests = HubRequestLog(hub.metrics, observe)
        self.shortcuts = Shortcuts(HubFastPath(self.routes, hub, gate, self._requests))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        began = perf_counter()
        found = self.routes.find(scope["method"], scope["path"])
        caller = self._gate.identify(scope)
        number = request_id(header(scope, b"x-request-id"))
        answer = _AnswerWatch(send, number, closing=self._hub.draining)
        try:
            await self._respond(found, HubRequest(scope["method"], {}, Fields({}), scope, caller), receive, answer)
        except ClientLeft:
            answer.status = CLIENT_LEFT
        except Overloaded as error:  # the body was not read, or not to its end
            await _send_unread(scope, receive, answer, answer_of(error))
        except PenstockError as error:
            await answer.fail(error, scope["method"])
        except Exception as error:
            log.exception("Request %s failed: %s %s.", number.decode(), scope["method"], ascii(scope["path"][:200]))
            await answer.fail(error, scope["method"])
        route = None if found is None else found[0]
        client = (scope.get("client") or ("",))[0]
        told = (scope["method"], scope["path"], route, answer.status, began, caller, client, number)
        self._requests.add(*told)

    async def _respond(
        self, found: tuple[HubRoute, dict[str, str]] | None, request: HubRequest, receive: Receive, send: Send
    ) -> None:
        # That there is nothing is no business of strangers.
        needs = "read" if found is None else found[0].needs
        refused = self._gate.refusal(request.scope, needs, request.caller)
        if refused is not None or found is None:
            refused = refused or self._not_found(request.method, request.scope["path"])
            await _send_unread(request.scope, receive, send, refused)
            return
        route, request.path = found
        for text in request.path.values():
            check_keepable(text)
            check_decoded(text, request.scope)
        if route.stream is not None:
            request.fields = Fields.of_query(request.scope["query_string"])
            await route.stream(self._hub.context(), request, receive, send)
            return
        await _send(send, await self._answer(route, request, receive), request.method)

    def close(self) -> None:
        """Nothing is opened here."""

    async def _answer(self, route: HubRoute, request: HubRequest, receive: Receive) -> HubAnswer:
        if request.method in ("GET", "HEAD"):
            request.fields = Fields.of_query(request.scope["query_string"])
            return await self._handled(route, request)
        held = HeldBody(self._hub.bodies, declared_length(request.scope))
        try:
            body = await held.read(request.scope, receive)
            if body:
                _require_json(header(request.scope, b"content-type"))
            request.fields = Fields.of_json(body, header(request.scope, b"content-encoding"))
            del body  # its fields take as much again
            return await self._handled(route, request)
        finally:
            held.release()

    async def _handled(self, route: HubRoute, request: HubRequest) -> HubAnswer:
        assert route.handler is not None
        try:
            return await route.handler(self._hub.context(), request)
        except RegistryError as error:
            raise in_mlflows_words(error, request.fields) from error

    def _not_found(self, method: str, path: str) -> HubAnswer:
        """At once and never a 5xx, since MLflow's client repeats those for minutes."""
        if self.routes.knows(path):
            return error_answer(405, "BAD_REQUEST", f"{method} is not allowed for this path.")
        return error_answer(
            404, "ENDPOINT_NOT_FOUND", "This path does not exist here. See docs/hub.md for those that do."
        )

    def __repr__(self) -> str:
        return f"<HubApp with {self.routes!r}>"


class _AnswerWatch:
    """The `send` of a request, which names the request in its answer and knows the status that was sent."""

    def __init__(self, send: Send, number: bytes, *, closing: bool) -> None:
        self._send = send
        self._headers = [(b"x-request-id", number), *([CLOSE] if closing else [])]
        # The whole mutable state: the status, 0 before there is one.
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers]}
        await self._send(message)

    async def fail(self, error: BaseException, method: str) -> None:
        """Answers with an error, unless an answer has begun: then the connection ends with it unfinished."""
        if self.status:
            raise error
        await _send(self, answer_of(error), method)


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
    return {"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length, *GUARD]}
