"""Refusing for lack of room as soon as a request's head is there: no task, no scope, one write.

Turning a crowd away must cost next to nothing, or it takes the processor from the model that the others wait for. This
is a short cut: what it does not refuse goes the usual way, and is refused there, if at all, with the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from starlette.types import Scope

from penstock.access.tokens import BearerToken
from penstock.errors import Overloaded
from penstock.http.bodies import LEFT_UNREAD, any_header, header
from penstock.http.events.request_event import OnRequest, refused
from penstock.server.statuses import body_of, status_of
from penstock.server.targets import PROTOCOL, invocation_target, request_id
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable

# After a refusal on the usual way, the short cut is looked at for so long; else it would cost every request something.
_ALERT_SECONDS = 0.25

# How long the same words are said to everybody.
_SAME_SECONDS = 0.01

# Headers that make a request a case for the usual way.
_UNUSUAL = frozenset({b"expect", b"transfer-encoding", b"x-request-timeout"})


_HEAD = (
    b"content-type: application/json\r\ncontent-length: %d\r\nx-content-type-options: nosniff\r\nretry-after: %d\r\n"
    b"x-request-id: %b\r\n%b\r\n%b"
)


@dataclass(slots=True)
class _Refusal:
    servable: Servable
    limit: str
    retry_after: int
    content: bytes
    until: float


class LoadShedder:
    """`timeout` is the seconds that callers wait who do not say, `observe` whom to tell of every refusal."""

    def __init__(self, gateway: Gateway, timeout: float, token: BearerToken, observe: OnRequest | None = None) -> None:
        self._gateway = gateway
        self._token = token
        self._timeout = timeout
        self._observe = observe
        # The whole mutable state: until when to look at all, and the last words said.
        self._until = 0.0
        self._known: _Refusal | None = None

    def alert(self) -> None:
        """Somebody was refused: there may be a crowd."""
        self._until = perf_counter() + _ALERT_SECONDS

    @property
    def alerted(self) -> bool:
        return self._until > perf_counter()

    def refuse(self, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """The answer to a POST from its `content-type` line on, if there is no room for it; None for the usual way."""
        gateway = self._gateway
        head: Scope = {"headers": headers}
        length = header(head, b"content-length") or b""
        usual = length.isdigit() and int(length) <= LEFT_UNREAD and not any_header(head, _UNUSUAL)
        target = invocation_target(url.partition(b"?")[0].decode("latin-1")) if usual and b"%" not in url else None
        servable = None if target is None else gateway.peek(target.get("name"), target.get("version"))
        if servable is None or gateway.draining or not self._token.admits(head):
            return None
        refusal = self._refusal(servable, int(length))
        if refusal is None:
            return None
        servable.metrics.overloaded[refusal.limit].inc()
        servable.metrics.outcomes[PROTOCOL, "rejected"].inc()
        id = request_id(header(head, b"x-request-id"))
        if self._observe is not None:
            self._observe(refused(servable, id, head, int(length), len(refusal.content)))
        return _HEAD % (
            len(refusal.content),
            refusal.retry_after,
            id,
            servable.header_lines,
            refusal.content,
        )

    def _refusal(self, servable: Servable, declared: int) -> _Refusal | None:
        """Why there is no room, if there is none. The words are made anew only now and then: a crowd gets the same."""
        now = perf_counter()
        known = self._known
        full = servable.crowd.inside >= servable.crowd.limit
        if full and known is not None and known.servable is servable and now < known.until:
            return known
        try:
            self._gateway.admit(servable, servable.timeout or self._timeout, declared)
        except Overloaded as error:
            content = body_of(error, status_of(error))
            self._known = _Refusal(servable, error.limit, error.retry_after, content, now + _SAME_SECONDS)
            self._until = now + _ALERT_SECONDS
            return self._known
        return None
