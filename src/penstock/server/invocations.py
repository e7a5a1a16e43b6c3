"""POST …/invocations: body, rows, answer. The hot path, hence raw ASGI.

Whether there is room is asked before the body is read, and again when its rows are known. The body is read before a
version is leased, so that a slow client never holds one; the lease spans the rest.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter

from starlette.types import Receive, Scope, Send

from penstock.errors import Overloaded, PenstockError, PredictError
from penstock.metrics import VersionMetrics
from penstock.server.bodies import (
    ClientLeft,
    Hold,
    answer_unread,
    declared_length,
    header,
    media_type,
    read_body,
    unpack,
)
from penstock.server.patience import Patience, Rounds, patience_of
from penstock.server.protocol import EXCHANGE, Exchange
from penstock.server.refusals import Refusals
from penstock.server.statuses import body_of, status_of
from penstock.server.targets import PROTOCOL, request_id
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.wire.formats import JSON, READERS, accepted, encode
from penstock.wire.requests import LibraryWanted

log = logging.getLogger("penstock.server")

TIMEOUT = 60.0


@dataclass(slots=True)
class _Call:
    """What is known of one request: when it began, its id, the version that answers it, whether its body is still
    unread, and seconds by stage, for the metrics and the Server-Timing header."""

    start: float
    request_id: bytes
    servable: Servable | None = None
    unread: bool = True
    decode: float = 0.0
    queue: float = 0.0
    predict: float = 0.0
    encode: float = 0.0

    def timing(self) -> bytes:
        """Milliseconds, as the Server-Timing specification has it."""
        stages = (self.decode * 1e3, self.queue * 1e3, self.predict * 1e3, self.encode * 1e3)
        return b"decode;dur=%.3f, queue;dur=%.3f, predict;dur=%.3f, encode;dur=%.3f" % stages


class Invocations:
    """The ASGI endpoint for every /invocations path; path parameters name the model and the version."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        max_body_bytes: int,
        timeout: float = TIMEOUT,
        nan_words: bool = False,
    ) -> None:
        self._gateway = gateway
        self._nan_words = nan_words
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._unserved = gateway.metrics.version("", "")
        self._rounds = Rounds()
        self.refusals = Refusals(gateway, timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _Call(perf_counter(), request_id(header(scope, b"x-request-id")))
        headers: list[tuple[bytes, bytes]] = []
        exchange: Exchange | None = scope.pop(EXCHANGE, None)
        try:
            content, media = await self._handle(call, scope, receive, exchange)
            status, outcome = 200, "ok"
        except ClientLeft:
            self._count(call, "client_error")
            return
        except Exception as error:
            found = status_of(error)
            status, outcome, content, media = found.http, found.outcome, body_of(error, found), JSON
            if isinstance(error, Overloaded):
                headers.append((b"retry-after", str(error.retry_after).encode()))
                self._metrics(call).overloaded[error.limit].inc()
                self.refusals.alert()
            if status == 413:
                headers.append((b"connection", b"close"))
                call.unread = False
            _log_failure(error, outcome, call)
        self._count(call, outcome)
        if status == 200 and exchange is not None and exchange.answer(_head(content, media, call), content):
            return
        headers += _headers(content, media, call)
        start = {"type": "http.response.start", "status": status, "headers": headers}
        if call.unread:
            await answer_unread(scope, receive, send, start, content)
            return
        try:
            await send(start)
            await send({"type": "http.response.body", "body": content})
        except RuntimeError as error:  # uvloop's, in the moment between a client's leaving and the news of it
            if "closed" not in str(error):
                raise

    async def _handle(
        self, call: _Call, scope: Scope, receive: Receive, exchange: Exchange | None
    ) -> tuple[bytes, str]:
        """The answer's body and media type. Raises ClientLeft and every PenstockError that a request may meet."""
        media = media_type(scope)
        answer_media = _answer_media(scope)
        path = scope["path_params"]
        name, version = path.get("name"), path.get("version")
        servable = self._gateway.peek(name, version)
        seconds = patience_of(scope, self._timeout if servable is None else servable.timeout or self._timeout)
        call.servable = servable
        self._gateway.admit(servable, seconds, declared_length(scope))
        call.servable = None
        deadline = call.start + seconds
        patience = Patience(receive, deadline, call.start, self._rounds, exchange)
        hold = Hold(self._gateway)
        try:
            body = await read_body(scope, receive, self._max_body_bytes, hold)
            call.unread = patience.reading = False
            if header(scope, b"content-encoding") is not None:
                body = await unpack(scope, body, self._max_body_bytes, hold)
            call.servable = servable = self._gateway.find(name, version)
            with servable.lease():
                return await self._answer(call, servable, media, body, answer_media, patience, deadline)
        except asyncio.CancelledError as cancelled:
            raise patience.cut_short(cancelled) from None
        finally:
            hold.release()
            patience.end()

    async def _answer(
        self, call: _Call, servable: Servable, media: str, body: bytes, answer_media: str, patience: Patience,
        deadline: float,
    ) -> tuple[bytes, str]:  # fmt: skip
        began = perf_counter()
        while True:
            try:
                request = servable.read(media, body)
                break
            except LibraryWanted as wanted:  # one after the other, where several are
                await asyncio.to_thread(import_module, wanted.name)
        params = servable.conform_params(request.params)
        call.decode = perf_counter() - began
        answer = await patience.watch(servable.predict(request.payload, params, deadline))
        call.queue, call.predict = answer.queue, answer.predict
        began = perf_counter()
        encoded = encode(answer.payload, answer_media, wrapped=request.wrapped, nan_words=self._nan_words)
        call.encode = perf_counter() - began
        return encoded

    def _metrics(self, call: _Call) -> VersionMetrics:
        return self._unserved if call.servable is None else call.servable.metrics

    def _count(self, call: _Call, outcome: str) -> None:
        metrics = self._metrics(call)
        metrics.outcomes[PROTOCOL, outcome].inc()
        metrics.request_seconds[PROTOCOL].observe(perf_counter() - call.start)
        if outcome == "ok":
            metrics.stages["decode"].observe(call.decode)
            metrics.stages["queue"].observe(call.queue)
            metrics.stages["predict"].observe(call.predict)
            metrics.stages["encode"].observe(call.encode)


def _answer_media(scope: Scope) -> str:
    accept = header(scope, b"accept")
    if accept is None or accept in (b"*/*", b"application/json"):
        return JSON
    return accepted(accept.decode("latin-1"))


_MEDIA = {media: media.encode() for media in READERS}


def _headers(content: bytes, media: str, call: _Call) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", _MEDIA[media]),
        (b"content-length", str(len(content)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", call.request_id),
    ]
    if call.servable is not None:
        headers += [*call.servable.headers, (b"server-timing", call.timing())]
    return headers


def _head(content: bytes, media: str, call: _Call) -> bytes:
    """The same headers of a prediction, as the lines that they become."""
    assert call.servable is not None
    return (
        b"content-type: %b\r\ncontent-length: %d\r\nx-content-type-options: nosniff\r\nx-request-id: %b\r\n"
        b"%bserver-timing: %b\r\n"
        % (_MEDIA[media], len(content), call.request_id, call.servable.header_lines, call.timing())
    )


def _log_failure(error: Exception, outcome: str, call: _Call) -> None:
    """Callers' mistakes are theirs to read; the model's and our own are logged with the request id."""
    if outcome not in ("model_error", "internal"):
        return
    what = f"{call.servable.model} version {call.servable.version}" if call.servable else "no model"
    cause = error.__cause__ if isinstance(error, PredictError) and error.__cause__ else error
    level = logging.WARNING if isinstance(error, PenstockError) and outcome == "model_error" else logging.ERROR
    log.log(level, "Request %s to %s failed. %s", call.request_id.decode(), what, error, exc_info=cause)
