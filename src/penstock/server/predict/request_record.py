"""One request for predictions: what is known of it while it is answered, and what is counted when it has been."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.types import Scope

from penstock.errors import ModelProcessLost, Overloaded, PenstockError, PredictError
from penstock.http.events.request_event import RequestWatch
from penstock.http.headers import header
from penstock.metrics import VersionMetrics
from penstock.server.statuses import body_of, status_of
from penstock.server.targets import PROTOCOL
from penstock.serving.servable import Servable
from penstock.wire.formats import JSON, READERS, accepted

log = logging.getLogger("penstock.server")

_MEDIA = {media: media.encode() for media in READERS}


def answer_media(scope: Scope) -> str:
    """The format to answer in."""
    accept = header(scope, b"accept")
    if accept is None or accept in (b"*/*", b"application/json"):
        return JSON
    return accepted(accept.decode("latin-1"))


@dataclass(slots=True)
class RequestRecord:
    """When it began, its id, the version that answers it, and seconds by stage, for the metrics and the Server-Timing
    header. `unserved` are the numbers of requests that reach no version; `watch` is there where somebody is told."""

    start: float
    request_id: bytes
    unserved: VersionMetrics
    servable: Servable | None = None
    decode: float = 0.0
    queue: float = 0.0
    predict: float = 0.0
    encode: float = 0.0
    watch: RequestWatch | None = None

    @property
    def metrics(self) -> VersionMetrics:
        return self.unserved if self.servable is None else self.servable.metrics

    def count(self, outcome: str, now: float, status: int, content: bytes = b"") -> None:
        """It is over, at `now`, with this answer."""
        metrics = self.metrics
        metrics.outcomes[PROTOCOL, outcome].value += 1
        metrics.request_seconds[PROTOCOL].observe(now - self.start)
        if outcome == "ok":
            stages = metrics.stages
            stages["decode"].observe(self.decode)
            stages["queue"].observe(self.queue)
            stages["predict"].observe(self.predict)
            stages["encode"].observe(self.encode)
        if self.watch is not None:
            self.watch.tell(self, outcome, now, status, len(content))

    def timing(self) -> bytes:
        """Milliseconds, as the Server-Timing specification has it."""
        stages = (self.decode * 1e3, self.queue * 1e3, self.predict * 1e3, self.encode * 1e3)
        return b"decode;dur=%.3f, queue;dur=%.3f, predict;dur=%.3f, encode;dur=%.3f" % stages

    def headers(self, content: bytes, media: str) -> list[tuple[bytes, bytes]]:
        """The answer's headers."""
        headers = [
            (b"content-type", _MEDIA[media]),
            (b"content-length", str(len(content)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", self.request_id),
        ]
        if self.servable is not None:
            headers += [*self.servable.headers, (b"server-timing", self.timing())]
        return headers

    def lines(self, content: bytes, media: str) -> bytes:
        """The same headers as the lines that they become, for an answer of a version."""
        assert self.servable is not None
        return (
            b"content-type: %b\r\ncontent-length: %d\r\nx-content-type-options: nosniff\r\nx-request-id: %b\r\n"
            b"%bserver-timing: %b\r\n"
            % (_MEDIA[media], len(content), self.request_id, self.servable.header_lines, self.timing())
        )


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """What a caller is told of an error. `retry_after` is in seconds, None where waiting does not help."""

    status: int
    outcome: str
    content: bytes
    media: str = JSON
    retry_after: int | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Those that an error's answer has beside the usual ones."""
        return [] if self.retry_after is None else [(b"retry-after", str(self.retry_after).encode())]

    @property
    def lines(self) -> bytes:
        """The same as lines."""
        return b"".join(b"%b: %b\r\n" % pair for pair in self.headers)


def failure_of(error: Exception, call: RequestRecord) -> FailedRequest:
    """The answer to an error. Counts a refusal; callers' mistakes are theirs to read, the model's and our own are
    logged with the request id."""
    found = status_of(error)
    after: int | None = None
    if isinstance(error, Overloaded):
        after = error.retry_after
        call.metrics.overloaded[error.limit].inc()
    if isinstance(error, ModelProcessLost):
        after = error.retry_after
    if found.outcome in ("model_error", "internal"):
        _log(error, found.outcome, call)
    return FailedRequest(found.http, found.outcome, body_of(error, found), retry_after=after)


def _log(error: Exception, outcome: str, call: RequestRecord) -> None:
    what = f"{call.servable.model} version {call.servable.version}" if call.servable else "no model"
    cause = error.__cause__ if isinstance(error, PredictError) and error.__cause__ else error
    level = logging.WARNING if isinstance(error, PenstockError) and outcome == "model_error" else logging.ERROR
    trace = None if isinstance(error, ModelProcessLost) else cause
    log.log(level, "Request %s to %s failed. %s", call.request_id.decode(), what, error, exc_info=trace)
