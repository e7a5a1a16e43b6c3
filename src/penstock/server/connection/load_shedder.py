"""Load shedding: requests that there is no room for are refused as soon as their head is there, without a task or an
ASGI scope, in one write.

Turning a crowd away must cost next to nothing, or it takes the processor from the model that the others wait for. What
is not refused here takes the slow path, and is refused there, if at all, with the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from penstock.errors import Overloaded
from penstock.http.authorizer import Authorizer
from penstock.http.bodies import LEFT_UNREAD
from penstock.http.cross_origin import CrossOrigin
from penstock.http.headers import Head, any_header, header
from penstock.server.predict.pipeline import Pipeline
from penstock.server.statuses import answer_of
from penstock.server.targets import invocation_target
from penstock.serving.servable import Servable
from penstock.wire.interface import WireProtocol

# How long one refusal is repeated to everybody.
_REPEAT_SECONDS = 0.01

# Headers that make a request a case for the slow path.
_UNUSUAL = frozenset({b"expect", b"transfer-encoding", b"x-request-timeout"})

_NO_SNIFF = (b"x-content-type-options", b"nosniff")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refusal by this limit, which may be repeated until then; only the request's id is missing from it."""

    servable: Servable
    limit: str
    lines: bytes
    content: bytes
    until: float


class LoadShedder:
    """Refuses requests of one protocol while the pipeline is overloaded."""

    def __init__(
        self,
        pipeline: Pipeline,
        protocol: WireProtocol,
        access: Authorizer,
        cross_origin: CrossOrigin | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._protocol = protocol
        self._gateway = pipeline.gateway
        self._access = access
        self._cross_origin = cross_origin
        # The whole mutable state: the last refusal.
        self._last: _Refusal | None = None

    @property
    def alerted(self) -> bool:
        """Whether it is worth asking."""
        return self._pipeline.overloaded_until > perf_counter()

    def refuse(self, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """The answer to a POST from its `content-type` line on, if there is no room for it; None for the slow path."""
        gateway = self._gateway
        head: Head = {"headers": headers}
        length = header(head, b"content-length") or b""
        plain = length.isdigit() and int(length) <= LEFT_UNREAD and not any_header(head, _UNUSUAL)
        target = invocation_target(url.partition(b"?")[0].decode("latin-1")) if plain and b"%" not in url else None
        if target is None:
            return None
        name = target.get("name")
        servable = gateway.peek(name, target.get("version"))
        if servable is None or gateway.draining or not self._access.admits(head, "predict", name):
            return None
        refusal = self._refusal(servable, int(length))
        if refusal is None:
            return None
        record = self._pipeline.open(self._protocol, perf_counter(), head)
        record.bind(servable)
        record.count_shed(refusal.limit, len(refusal.content))
        assert record.binding is not None
        lines = record.binding.header_lines
        if self._cross_origin is not None:
            lines += self._cross_origin.lines(head)
        return b"%bx-request-id: %b\r\n%b\r\n%b" % (refusal.lines, record.request_id, lines, refusal.content)

    def _refusal(self, servable: Servable, declared: int) -> _Refusal | None:
        """Why there is no room, if there is none. It is made anew only now and then: a crowd gets the same one."""
        now = perf_counter()
        last = self._last
        full = servable.concurrency_limit.inside >= servable.concurrency_limit.limit
        if full and last is not None and last.servable is servable and now < last.until:
            return last
        try:
            self._gateway.admit(servable, self._pipeline.timeout_of(servable), declared)
        except Overloaded as error:
            answer = answer_of(error, _NO_SNIFF)
            self._last = _Refusal(servable, error.limit, answer.lines, answer.content, now + _REPEAT_SECONDS)
            self._pipeline.note_overload()
            return self._last
        return None
