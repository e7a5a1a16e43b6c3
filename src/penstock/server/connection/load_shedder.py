"""Load shedding: refusing for lack of room as soon as a request's head is there. No task, no scope, one write.

A refusal must cost next to nothing, or it takes the processor from the model that the others wait for. What is not
refused here takes another path, and is refused there, if at all, with the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from starlette.types import Scope

from penstock.access.tokens import BearerToken
from penstock.errors import Overloaded
from penstock.http.bodies import LEFT_UNREAD, any_header, header
from penstock.server.predict.pipeline import Pipeline
from penstock.server.statuses import body_of, status_of
from penstock.server.targets import invocation_target
from penstock.serving.servable import Servable
from penstock.wire.interface import WireProtocol

# How long the same refusal is sent to every caller.
_SAME_SECONDS = 0.01

# Headers that make a request a case for the slow path.
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
    """Refuses requests of one protocol while the pipeline is overloaded."""

    def __init__(self, pipeline: Pipeline, protocol: WireProtocol, token: BearerToken) -> None:
        self._pipeline = pipeline
        self._protocol = protocol
        self._gateway = pipeline.gateway
        self._token = token
        # The whole mutable state: the last refusal.
        self._known: _Refusal | None = None

    @property
    def alerted(self) -> bool:
        """Whether it is worth asking."""
        return self._pipeline.overloaded_until > perf_counter()

    def refuse(self, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """The answer to a POST from its `content-type` line on, if there is no room for it; None where another path has
        to look."""
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
        record = self._pipeline.open(self._protocol, perf_counter(), head)
        record.bind(servable)
        record.count_shed(refusal.limit, len(refusal.content))
        assert record.binding is not None
        return _HEAD % (
            len(refusal.content),
            refusal.retry_after,
            record.request_id,
            record.binding.header_lines,
            refusal.content,
        )

    def _refusal(self, servable: Servable, declared: int) -> _Refusal | None:
        """Why there is no room, if there is none. It is made anew only now and then."""
        now = perf_counter()
        known = self._known
        full = servable.crowd.inside >= servable.crowd.limit
        if full and known is not None and known.servable is servable and now < known.until:
            return known
        try:
            self._gateway.admit(servable, self._pipeline.timeout_of(servable), declared)
        except Overloaded as error:
            content = body_of(error, status_of(error))
            self._known = _Refusal(servable, error.limit, error.retry_after, content, now + _SAME_SECONDS)
            self._pipeline.note_overload()
            return self._known
        return None
