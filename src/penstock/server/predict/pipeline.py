"""Every decision on a request for predictions, whatever protocol asks and however its bytes come and go.

A driver moves bytes, and asks in this order: `open`, `admit`, (it reads the body), `find`, `read`, `predict`, (it waits
for the answer), `write`; where anything raises, `fail`. Then it gives back what it holds, counts the request by its
record, and sends the response. Nothing here waits.

The version is looked up once by a driver that has the body already, as the fast path: `admit` returns it. One that
waits for the body asks `find` afterwards, since another version may answer by then, and the first be closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import perf_counter

from starlette.types import Scope

from penstock.access.principal import ANYBODY, Principal
from penstock.defaults import TIMEOUT
from penstock.error_text import kind_of, text_of
from penstock.errors import (
    AnswerUnserializable,
    ModelProcessLost,
    Overloaded,
    PenstockError,
    PredictError,
    SchemaViolation,
)
from penstock.http.deadlines import timeout_of
from penstock.http.events.request_event import OnRequest
from penstock.http.headers import Head, declared_length, header, media_type, request_id
from penstock.package.likely_cause import likely_cause
from penstock.payload import Payload, Table, Tensors, Violation
from penstock.reader_process.pool import ReadResult
from penstock.server.predict.first_gap import first_gap
from penstock.server.predict.ignored import IgnoredLog, told, violations
from penstock.server.predict.request_record import PredictResponse, RequestRecord, RequestWatch
from penstock.server.statuses import INTERNAL, Status, message_of, retry_after_of, status_of, violations_of
from penstock.server.targets import Target
from penstock.serving.batching.jobs import Answer
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.signature import unknown_params
from penstock.wire.answers.columns import rows_answered
from penstock.wire.interface import DecodedRequest, WireProtocol, with_params

log = logging.getLogger("penstock.server")


# After a refusal, requests are looked at for shedding as soon as their head is there; always would cost all of them.
_OVERLOAD_SECONDS = 0.25


class Pipeline:
    """The decisions for one gateway. `timeout` is the seconds that callers wait who do not say; `observe` is called for
    every request that is over, and told who asked by `caller_of`."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        timeout: float = TIMEOUT,
        observe: OnRequest | None = None,
        caller_of: Callable[[Head], Principal] = lambda _: ANYBODY,
    ) -> None:
        self.gateway = gateway
        self.observe = observe
        self._caller_of = caller_of
        self._timeout = timeout
        self._ignored = IgnoredLog()
        self._unserved = gateway.metrics.version("", "")
        # The whole mutable state: until when (perf_counter) the gateway counts as overloaded.
        self.overloaded_until = 0.0

    def open(
        self, protocol: WireProtocol, start: float, head: Scope, client: tuple[str, int] | None = None
    ) -> RequestRecord:
        """The record of a request whose head is there since `start`. `head` is its scope, or as much as `header`
        needs."""
        record = RequestRecord(start, request_id(header(head, b"x-request-id")), protocol, self._unserved)
        if self.observe is not None:
            caller = self._caller_of(head).name
            record.watch = RequestWatch(self.observe, head, client, declared_length(head), caller)
        return record

    def admit(self, record: RequestRecord, head: Scope, target: Target, length: int) -> Servable | None:
        """What the head asks, and whether there is room for a body of this many bytes. Returns the version that would
        answer in this moment, None where `find` would raise. Raises UnsupportedMedia, MalformedInput, Overloaded."""
        record.media = media_type(head, record.protocol.readable)
        record.answer_media = record.protocol.answer_media(header(head, b"accept"))
        servable = self.gateway.peek(target.get("name"), target.get("version"))
        seconds = timeout_of(head, self.timeout_of(servable))
        record.deadline = record.start + seconds
        try:
            self.gateway.admit(servable, seconds, length)
        except Overloaded:
            if servable is not None:
                record.bind(servable)
            raise
        return servable

    def timeout_of(self, servable: Servable | None) -> float:
        """The seconds that a caller waits who does not say."""
        return self._timeout if servable is None else servable.timeout or self._timeout

    def find(self, record: RequestRecord, target: Target) -> Servable:
        """The version that answers. Raises ModelNotServed, ModelLoading."""
        servable = self.gateway.find(target.get("name"), target.get("version"))
        record.bind(servable)
        return servable

    def read(self, record: RequestRecord, body: bytes) -> None:
        """The body as the model takes it, params with their defaults. Needs a version. Raises MalformedInput,
        SchemaViolation, UnsupportedMedia; ReadElsewhere where the driver has somebody else read it, who gives what
        `was_read` takes."""
        assert record.servable is not None
        assert record.binding is not None
        began = perf_counter()
        request = record.binding.codec.read(record.media, body)
        given = request.params
        request.params = record.servable.conform_params(given)
        if given:
            request.ignored = with_params(request.ignored, unknown_params(record.servable.params, given))
        self._take(record, request, perf_counter() - began, len(body))

    def was_read(self, record: RequestRecord, result: ReadResult, seconds: float) -> None:
        """The same body, read by a reader process in so many seconds."""
        assert record.binding is not None
        request = record.binding.codec.request_type(result.payload, result.params, **result.state)
        self._take(record, request, seconds, result.size)

    def _take(self, record: RequestRecord, request: DecodedRequest, seconds: float, size: int) -> None:
        """Raises SchemaViolation."""
        record.request = request
        record.decode += seconds
        if record.watch is not None:
            record.watch.received, record.watch.rows = size, request.payload.rows
        if request.ignored:
            self._tell_ignored(record, request)

    def _tell_ignored(self, record: RequestRecord, request: DecodedRequest) -> None:
        """Says what the model makes nothing of, or raises SchemaViolation where it is strict."""
        assert record.servable is not None
        words = told(request.ignored, (param.name for param in record.servable.params), record.servable.optional)
        if record.servable.strict_params and (unknown := violations(request.ignored, words)):
            raise SchemaViolation(unknown)
        record.warn(f"ignored: {'; '.join(words)}")
        self._ignored.tell(record.servable.model, words)

    def predict(self, record: RequestRecord) -> asyncio.Future[Answer]:
        """The model's answer to come. Raises Overloaded, Closing; the future raises PredictError, DeadlineExceeded,
        Closing."""
        assert record.servable is not None
        assert record.request is not None
        return record.servable.predict(record.request.payload, record.request.params, record.deadline)

    def write(self, record: RequestRecord, answer: Answer) -> PredictResponse:
        """The model's answer as bytes. Raises AnswerUnserializable; ReadElsewhere where the driver has somebody else
        write it, whose bytes `was_written` takes."""
        assert record.binding is not None
        assert record.request is not None
        record.queue, record.predict = answer.queue, answer.predict
        if record.servable is not None and record.servable.row_by_row:
            _tell_misread(record, record.servable, record.request.payload, answer.payload)
        began = perf_counter()
        try:
            content, media = record.binding.codec.write(answer.payload, record.request, record.answer_media)
        except asyncio.CancelledError as error:  # nothing here waits: an object in the answer has raised it
            raise AnswerUnserializable("The model's answer cannot be written: it raises CancelledError.") from error
        return self.was_written(record, content, media, perf_counter() - began)

    @staticmethod
    def was_written(record: RequestRecord, content: bytes, media: str, seconds: float) -> PredictResponse:
        """The response for an answer that was written in so many seconds."""
        record.encode = seconds
        return PredictResponse(200, "ok", content, media)

    def fail(self, record: RequestRecord, error: BaseException) -> PredictResponse:
        """The answer to an error. Counts a refusal; callers' mistakes are theirs to read, the model's and our own are
        logged with the request id. Never fails: an error whose own text cannot be had is one of ours."""
        try:
            return self._failure(record, error)
        except Exception as broken:
            log.error("Request %s failed; its error has no message.", record.request_id.decode(), exc_info=broken)
            return _error_response(record, INTERNAL, message_of(broken, INTERNAL))

    def count(self, record: RequestRecord, response: PredictResponse | None) -> None:
        """Counts a request that is over, with this answer; None where its client has left. Never fails: whatever is
        wrong with our own books, the caller is not left waiting."""
        try:
            if response is None:
                record.count_left()
            else:
                record.count(response)
        except Exception:
            log.exception("Request %s cannot be counted.", record.request_id.decode())

    def _failure(self, record: RequestRecord, error: BaseException) -> PredictResponse:
        status = status_of(error)
        if isinstance(error, Overloaded):
            record.metrics.overloaded[error.limit].inc()
            self.note_overload()
        if status.outcome in ("model_error", "internal"):
            try:
                _log(error, status.outcome, record)
            except BaseException as broken:  # of a log handler that is not ours: the caller's answer stays what it is
                log.error(
                    "Request %s failed; its error cannot be logged (%s).", record.request_id.decode(), kind_of(broken)
                )
        message = message_of(error, status)
        if isinstance(error, PredictError) and record.request is not None:
            payload, signature = record.request.payload, record.servable.signature if record.servable else None
            cause = likely_cause(payload, signature.inputs if signature is not None else None)
            message = f"{message} {cause or first_gap(payload)}".rstrip()
        return _error_response(record, status, message, retry_after_of(error), violations_of(error))

    def note_overload(self) -> None:
        """A request was refused: more may come."""
        self.overloaded_until = perf_counter() + _OVERLOAD_SECONDS


def _tell_misread(record: RequestRecord, servable: Servable, given: Payload, answer: Payload) -> None:
    """Says that a model which should answer each row did not. The answer itself stays what MLflow's would be."""
    if servable.misreads_tables and isinstance(given, (Table, Tensors)) and given.names is not None:
        record.warn('the model takes a list of texts, and has read the names of the columns: send {"inputs": ["..."]}')
    elif given.rows is not None and answer.rows is not None and given.rows != answer.rows:
        answered = rows_answered(answer, given.rows)
        if answered is not None and answered != given.rows:
            record.warn(f"{answered} answers to {given.rows} rows: the model does not answer each row")


def _error_response(
    record: RequestRecord,
    status: Status,
    message: str,
    retry_after: int | None = None,
    violations: Sequence[Violation] = (),
) -> PredictResponse:
    content, media = record.protocol.error_body(status.error_code, message, violations)
    return PredictResponse(status.http, status.outcome, content, media, retry_after)


def _log(error: BaseException, outcome: str, record: RequestRecord) -> None:
    what = f"{record.servable.model} version {record.servable.version}" if record.servable else "no model"
    cause = error.__cause__ if isinstance(error, PredictError) and error.__cause__ else error
    level = logging.WARNING if isinstance(error, PenstockError) and outcome == "model_error" else logging.ERROR
    trace = None if isinstance(error, ModelProcessLost) else cause
    log.log(level, "Request %s to %s failed. %s", record.request_id.decode(), what, text_of(error), exc_info=trace)
