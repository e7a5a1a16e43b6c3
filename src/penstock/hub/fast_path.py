"""The fast path of the hub: a small request that is one write is answered by the HTTP connection itself, in the moment
in which the write is kept. No scope, task or coroutine, which are half of what such a request costs.

What it declines takes the slow path, through the application, and is answered there in the same words: all that is
wrong with a request before its write is submitted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from penstock.access.principal import Principal
from penstock.http.connection.interface import ClientConnection, HeaderList
from penstock.http.events.request_event import CLIENT_LEFT
from penstock.http.headers import Head, any_header, declared_length, header, header_lines, request_id
from penstock.hub.access.gate import HubGate
from penstock.hub.answers import GUARD, JSON_HEADERS, HubAnswer
from penstock.hub.bodies.held import HeldBody
from penstock.hub.fields import Fields
from penstock.hub.request_event import HubRequestLog
from penstock.hub.requests import StoreWrite
from penstock.hub.routes import HubRoute
from penstock.hub.service import Hub
from penstock.hub.statuses import answer_of

log = logging.getLogger("penstock.hub")

# The largest body that is taken, in bytes. Reading a larger one is work beside which a task is nothing.
MAX_FAST_BYTES = 64 * 1024

# Headers that make a request a case for the slow path.
_UNUSUAL = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})

_JSON_LINES = header_lines((*JSON_HEADERS, *GUARD))


@dataclass(slots=True)
class PendingWrite:
    """A request whose head is there, since `began`, and whose body is coming."""

    began: float
    head: Head
    route: HubRoute
    body: bytes = b""


class HubFastPath:
    """Takes or declines requests of the routes that are one write."""

    def __init__(self, routes: Iterable[HubRoute], hub: Hub, gate: HubGate, requests: HubRequestLog) -> None:
        self._routes = {
            route.path.encode(): route
            for route in routes
            if isinstance(route.handler, StoreWrite) and route.methods == ("POST",)
        }
        self._hub = hub
        self._gate = gate
        self._requests = requests

    def hold(self, url: bytes, headers: HeaderList) -> PendingWrite | None:
        """A POST that may go this way once its body is there; None for the slow path."""
        route = self._routes.get(url)
        if route is None:
            return None
        head: Head = {"method": "POST", "headers": headers}
        if any_header(head, _UNUSUAL) or header(head, b"content-type") != b"application/json":
            return None
        return PendingWrite(perf_counter(), head, route) if 0 < declared_length(head) <= MAX_FAST_BYTES else None

    def give_up(self) -> None:
        """The body of a request that was held takes too long: it is the slow path's."""

    def begin(self, held: PendingWrite, connection: ClientConnection) -> WriteCycle | None:
        """The request is whole: submits what it writes. None for the slow path, which meets the same error again."""
        if self._hub.draining:
            return None
        caller = self._gate.identify(held.head)
        if not self._gate.admits(held.head, held.route.needs, caller):
            return None
        hold = HeldBody(self._hub.bodies, len(held.body))
        cycle = WriteCycle(held, connection, caller, hold, self._hub, self._requests)
        try:
            hold.take(len(held.body))
            handler: Any = held.route.handler
            change = handler.change(Fields.of_json(held.body))
            held.body = b""  # what was read of it takes as much again
            self._hub.context().stores.submit(change, cycle.end)
        except Exception:
            hold.release()
            return None
        return cycle

    def __repr__(self) -> str:
        return f"<HubFastPath for {len(self._routes)} routes>"


class _NoEvent:
    """uvicorn sets it when more of a body is there, which nobody waits for here."""

    def set(self) -> None:
        pass


class WriteCycle:
    """One write, from its submission to its answer. It stands where uvicorn's protocol has its cycle of request and
    answer, hence some of the names. A client that leaves takes nothing back."""

    __slots__ = (
        "_caller",
        "_connection",
        "_held",
        "_hold",
        "_hub",
        "_number",
        "_requests",
        "disconnected",
        "keep_alive",
        "response_complete",
    )

    message_event = _NoEvent()

    def __init__(
        self,
        held: PendingWrite,
        connection: ClientConnection,
        caller: Principal,
        hold: HeldBody,
        hub: Hub,
        requests: HubRequestLog,
    ) -> None:
        self._held = held
        self._connection = connection
        self._caller = caller
        self._hold = hold
        self._hub = hub
        self._requests = requests
        self._number = request_id(header(held.head, b"x-request-id"))
        # The whole mutable state, which is what uvicorn asks for and sets.
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False

    def leave(self) -> None:
        self.disconnected = True

    def end(self, result: Any, error: BaseException | None) -> None:
        """The write is kept, or refused: answers."""
        self._hold.release()
        answer = answer_of(error) if error is not None else self._answer(result)
        self.response_complete = True
        connection, route = self._connection, self._held.route
        status = CLIENT_LEFT if self.disconnected else answer.status
        client = connection.client[0] if connection.client else ""
        self._requests.add("POST", route.path, route, status, self._held.began, self._caller, client, self._number)
        keep_alive = self.keep_alive and not self._hub.draining
        connection.answer(answer.status, self._lines(answer), answer.body, keep_alive=keep_alive)

    def _answer(self, result: Any) -> HubAnswer:
        handler: Any = self._held.route.handler
        try:
            answer: HubAnswer = handler.answer(result)
        except Exception as error:
            log.exception("Request %s failed: POST %s.", self._number.decode(), self._held.route.path)
            return answer_of(error)
        return answer

    def _lines(self, answer: HubAnswer) -> bytes:
        plain = answer.headers is JSON_HEADERS
        lines = _JSON_LINES if plain else header_lines((*answer.headers, *GUARD))
        return b"%bcontent-length: %d\r\nx-request-id: %b\r\n" % (lines, len(answer.body), self._number)

    def __repr__(self) -> str:
        return f"<WriteCycle {self._number.decode()}{', answered' if self.response_complete else ''}>"
