"""One request for predictions: what is known while it is answered, and what is counted and reported afterwards.

What is the same for every request to a version in one protocol (codec, headers, metrics) is its `Binding`: made at the
first request, found by all others with one look into a dict.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import inf
from time import perf_counter, time
from typing import Any

from penstock.error_text import encodable
from penstock.http.events.request_event import CLIENT_LEFT, OnRequest, RequestEvent
from penstock.http.headers import header
from penstock.metrics import Distribution, Number, VersionMetrics
from penstock.serving.servable import Servable
from penstock.wire.interface import Codec, CodecSpec, DecodedRequest, WireProtocol

log = logging.getLogger("penstock.server")

# HTTP's own header Warning is obsolete. Source: RFC 9111, 5.5.
WARNING = b"x-request-warning"


@dataclass(slots=True)
class PredictResponse:
    """An answer, good or bad. `retry_after` is in seconds, None where waiting does not help. Not frozen, which would
    triple the time that it takes to make one."""

    status: int
    outcome: str
    content: bytes
    media: str
    retry_after: int | None = None


@dataclass(slots=True)
class RequestWatch:
    """What is known of a request beside its record, where `observe` is called for each. `head` is the scope, or the
    part of one that `header` needs; `received` is what the head says of the body's length, until the body is there;
    `caller` is the name of the token that was shown."""

    observe: OnRequest
    head: Any
    client: tuple[str, int] | None
    received: int
    caller: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """The codec and what it is made of, the headers that name the version, also as the bytes that they become, and the
    metrics that every answered request counts in. Nothing of it leads back to the servable, which keeps it: a ring
    would outlive both."""

    codec: Codec[Any]
    spec: CodecSpec
    headers: tuple[tuple[bytes, bytes], ...]
    header_lines: bytes
    succeeded: Number
    request_seconds: Distribution
    decode: Distribution
    queue: Distribution
    predict: Distribution
    encode: Distribution


@dataclass(slots=True)
class RequestRecord:
    """When it began (perf_counter), its id, and its protocol; what its head and its body turned out to ask; the version
    that answers it, None as long as none does; and seconds by stage. `unserved` are the metrics of requests that reach
    no version; `unread` is whether the body is still on its way; `cross_origin` are lines that the answer has for pages
    of other origins, where no other layer adds them; `warning` is what the caller should know beside the answer."""

    start: float
    request_id: bytes
    protocol: WireProtocol
    unserved: VersionMetrics
    watch: RequestWatch | None = None
    media: str = ""
    answer_media: str = ""
    deadline: float = inf
    unread: bool = True
    servable: Servable | None = None
    binding: Binding | None = None
    request: DecodedRequest | None = None
    decode: float = 0.0
    queue: float = 0.0
    predict: float = 0.0
    encode: float = 0.0
    cross_origin: bytes = b""
    warning: bytes = b""

    def bind(self, servable: Servable) -> None:
        """This version answers, be it with an error: the answer carries its name, and it counts the request."""
        self.servable = servable
        self.binding = servable.bindings.get(self.protocol) or _bind(servable, self.protocol)

    def warn(self, text: str) -> None:
        """Something that the caller should know, as a header of the answer, beside what it holds already."""
        self.warning = b"; ".join(filter(None, (self.warning, _printable(text))))

    @property
    def metrics(self) -> VersionMetrics:
        return self.unserved if self.servable is None else self.servable.metrics

    def count(self, response: PredictResponse) -> None:
        """It is over, with this answer. Never fails."""
        now = perf_counter()
        binding = self.binding
        if response.outcome == "ok" and binding is not None:
            binding.succeeded.value += 1
            binding.request_seconds.observe(now - self.start)
            binding.decode.observe(self.decode)
            binding.queue.observe(self.queue)
            binding.predict.observe(self.predict)
            binding.encode.observe(self.encode)
        else:
            self._count_failure(response.outcome, now)
        if self.watch is not None:
            self._report(self.watch, response.status, response.outcome, now, len(response.content))

    def count_left(self) -> None:
        """It is over, since the client closed the connection before its answer. Never fails."""
        now = perf_counter()
        self._count_failure("client_error", now)
        if self.watch is not None:
            self._report(self.watch, CLIENT_LEFT, "client_error", now, 0)

    def count_shed(self, limit: str, sent: int) -> None:
        """It is refused from its head alone, in no time that is worth a place among the seconds. Never fails."""
        self.metrics.overloaded[limit].value += 1
        self.metrics.outcomes[self.protocol.name, "rejected"].value += 1
        if self.watch is not None:
            self._report(self.watch, 429, "rejected", self.start, sent)

    def _count_failure(self, outcome: str, now: float) -> None:
        metrics, protocol = self.metrics, self.protocol.name
        metrics.outcomes[protocol, outcome].value += 1
        metrics.request_seconds[protocol].observe(now - self.start)

    def _report(self, watch: RequestWatch, status: int, outcome: str, now: float, sent: int) -> None:
        """Hands the event to the observers. One that raises must not cost the caller the answer."""
        try:
            watch.observe(self._event(watch, status, outcome, now - self.start, sent))
        except Exception:
            log.exception("An observer of requests failed at request %s.", self.request_id.decode("latin-1"))

    def _event(self, watch: RequestWatch, status: int, outcome: str, seconds: float, sent: int) -> RequestEvent:
        servable, client = self.servable, watch.client
        return RequestEvent(
            request_id=self.request_id.decode("latin-1"),
            model="" if servable is None else encodable(servable.model),
            version="" if servable is None else encodable(servable.version),
            protocol=self.protocol.name,
            status=status,
            outcome=outcome,
            rows=watch.rows,
            ended=time(),
            seconds=seconds,
            decode=self.decode,
            queue=self.queue,
            predict=self.predict,
            encode=self.encode,
            received=watch.received,
            sent=sent,
            client=f"{client[0]}:{client[1]}" if client else "",
            caller=watch.caller,
            trace=(header(watch.head, b"traceparent") or b"").decode("latin-1"),
            trace_state=(header(watch.head, b"tracestate") or b"").decode("latin-1"),
        )

    def timing(self) -> bytes:
        """Milliseconds, as the Server-Timing specification has it."""
        stages = (self.decode * 1e3, self.queue * 1e3, self.predict * 1e3, self.encode * 1e3)
        return b"decode;dur=%.3f, queue;dur=%.3f, predict;dur=%.3f, encode;dur=%.3f" % stages

    def headers(self, response: PredictResponse) -> list[tuple[bytes, bytes]]:
        """The answer's headers."""
        headers = [
            (b"content-type", response.media.encode()),
            (b"content-length", str(len(response.content)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", self.request_id),
        ]
        if response.retry_after is not None:
            headers.append((b"retry-after", str(response.retry_after).encode()))
        if self.binding is not None:
            headers += [*self.binding.headers, (b"server-timing", self.timing())]
        if self.warning:
            headers.append((WARNING, self.warning))
        return headers

    def header_lines(self, response: PredictResponse) -> bytes:
        """The same headers as the lines that they become."""
        if self.binding is None or response.retry_after is not None or self.warning:
            return b"".join(b"%b: %b\r\n" % pair for pair in self.headers(response))
        return (
            b"content-type: %b\r\ncontent-length: %d\r\nx-content-type-options: nosniff\r\nx-request-id: %b\r\n"
            b"%bserver-timing: %b\r\n"
            % (
                response.media.encode(),
                len(response.content),
                self.request_id,
                self.binding.header_lines,
                self.timing(),
            )
        )


def _bind(servable: Servable, protocol: WireProtocol) -> Binding:
    """Makes the servable's binding for this protocol, and leaves it in `servable.bindings`, where requests find it."""
    headers = ((b"x-model-name", _printable(servable.model)), (b"x-model-version", _printable(servable.version)))
    spec = CodecSpec(protocol.of_model(servable.model), servable.signature, servable.loaded.takes_frames)
    made = Binding(
        spec.protocol.codec(spec.signature, frames=spec.frames),
        spec,
        headers,
        b"".join(b"%b: %b\r\n" % pair for pair in headers),
        servable.metrics.outcomes[protocol.name, "ok"],
        servable.metrics.request_seconds[protocol.name],
        **servable.metrics.stages,
    )
    servable.bindings[protocol] = made
    return made


def _printable(text: str) -> bytes:
    """Text as a header may hold it: names come from directories and registries, which may allow more."""
    return "".join(c if c.isprintable() and ord(c) < 128 else "?" for c in text).encode()
