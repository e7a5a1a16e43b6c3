"""POST …/invocations: body, rows, answer. The hot path, hence raw ASGI.

The body is read before a version is leased, so that a slow client never holds one; the lease spans the rest.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from itertools import count
from time import perf_counter

from starlette.types import Receive, Scope, Send

from penstock.errors import DeadlineExceeded, MalformedInput, Overloaded, PenstockError, PredictError
from penstock.metrics import VersionMetrics
from penstock.server.bodies import ClientLeft, header, media_type, read_body, unpack
from penstock.server.statuses import body_of, status_of
from penstock.serving.batcher import Answer
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.wire.formats import JSON, accepted, encode

log = logging.getLogger("penstock.server")

PROTOCOL = "invocations"

TIMEOUT = 60.0

# How long a request waits before somebody listens for its client going away; most are answered long before.
_WATCH_AFTER = 0.02

_ALLOWED_IN_ID = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+=@")


@dataclass(slots=True)
class _Stages:
    """Seconds by stage, for the metrics and the Server-Timing header."""

    decode: float = 0.0
    queue: float = 0.0
    predict: float = 0.0
    encode: float = 0.0

    def header(self) -> bytes:
        """Milliseconds, as the Server-Timing specification has it."""
        return (
            f"decode;dur={self.decode * 1e3:.3f}, queue;dur={self.queue * 1e3:.3f}, "
            f"predict;dur={self.predict * 1e3:.3f}, encode;dur={self.encode * 1e3:.3f}"
        ).encode()


class Invocations:
    """The ASGI endpoint for every /invocations path; path parameters name the model and the version."""

    def __init__(
        self, gateway: Gateway, *, max_body_bytes: int, timeout: float = TIMEOUT, nan_words: bool = False
    ) -> None:
        self._gateway = gateway
        self._nan_words = nan_words
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._unserved = gateway.metrics.version("", "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = perf_counter()
        request_id = _request_id(scope)
        stages = _Stages()
        servable: Servable | None = None
        headers: list[tuple[bytes, bytes]] = []
        try:
            media = media_type(scope)
            answer_media = _answer_media(scope)
            deadline = start + _patience(scope, self._timeout)
            body = await read_body(scope, receive, self._max_body_bytes)
            body = await unpack(scope, body, self._max_body_bytes)
            path = scope["path_params"]
            servable = self._gateway.find(path.get("name"), path.get("version"))
            with servable.lease():
                metrics = servable.metrics
                metrics.in_flight.inc()
                try:
                    content, answer_media = await self._answer(
                        servable, media, body, answer_media, stages, receive, deadline
                    )
                finally:
                    metrics.in_flight.dec()
            status, outcome = 200, "ok"
        except ClientLeft:
            status, outcome, content, answer_media = 499, "client_error", b"", JSON
        except Exception as error:
            found = status_of(error)
            status, outcome, content = found.http, found.outcome, body_of(error, found)
            answer_media = JSON
            if isinstance(error, Overloaded):
                headers.append((b"retry-after", str(error.retry_after).encode()))
            if status == 413:
                headers.append((b"connection", b"close"))
            _log_failure(error, outcome, servable, request_id)
        self._count(servable, outcome, stages, perf_counter() - start)
        if status == 499:
            return
        headers += _headers(content, answer_media, servable, request_id, stages)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(
        self, servable: Servable, media: str, body: bytes, answer_media: str, stages: _Stages, receive: Receive,
        deadline: float,
    ) -> tuple[bytes, str]:  # fmt: skip
        began = perf_counter()
        request = servable.read(media, body)
        params = servable.conform_params(request.params)
        stages.decode = perf_counter() - began
        answer = await _while_client_waits(servable.predict(request.payload, params), receive, deadline)
        stages.queue, stages.predict = answer.queue, answer.predict
        began = perf_counter()
        encoded = encode(answer.payload, answer_media, wrapped=request.wrapped, nan_words=self._nan_words)
        stages.encode = perf_counter() - began
        return encoded

    def _count(self, servable: Servable | None, outcome: str, stages: _Stages, seconds: float) -> None:
        metrics: VersionMetrics = self._unserved if servable is None else servable.metrics
        metrics.outcomes[PROTOCOL, outcome].inc()
        metrics.request_seconds[PROTOCOL].observe(seconds)
        if outcome == "ok":
            metrics.stages["decode"].observe(stages.decode)
            metrics.stages["queue"].observe(stages.queue)
            metrics.stages["predict"].observe(stages.predict)
            metrics.stages["encode"].observe(stages.encode)


def _patience(scope: Scope, most: float) -> float:
    """Seconds that the caller waits, by its X-Request-Timeout, and `most` at the most. Raises MalformedInput."""
    given = header(scope, b"x-request-timeout")
    if given is None:
        return most
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise MalformedInput("X-Request-Timeout must be a number of seconds above 0.")
    return min(seconds, most)


def _answer_media(scope: Scope) -> str:
    accept = header(scope, b"accept")
    if accept is None or accept in (b"*/*", b"application/json"):
        return JSON
    return accepted(accept.decode("latin-1"))


class _Patience:
    """Watches over one answer to come: drops the job when its time is up or its client has gone. `fate` says which.

    Most answers come before the watch begins, so that it costs them one timer.
    """

    __slots__ = ("_deadline", "_future", "_receive", "_task", "_timer", "fate")

    def __init__(self, future: asyncio.Future[Answer], receive: Receive, deadline: float) -> None:
        self._future = future
        self._receive = receive
        self._deadline = deadline
        self._task: asyncio.Task[None] | None = None
        self.fate: Exception | None = None
        begin = min(_WATCH_AFTER, deadline - perf_counter())
        self._timer = asyncio.get_running_loop().call_later(begin, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(self._deadline - perf_counter()):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
            self.fate = ClientLeft()
        except TimeoutError:
            self.fate = DeadlineExceeded("The answer was not ready in time.", hint="Send fewer rows, or wait longer.")
        self._future.cancel()

    def end(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


async def _while_client_waits(future: asyncio.Future[Answer], receive: Receive, deadline: float) -> Answer:
    """The answer, if it comes before `deadline` (perf_counter) and while the client is there.

    Raises DeadlineExceeded, ClientLeft, and what the prediction raises.
    """
    if future.done():
        return future.result()
    patience = _Patience(future, receive, deadline)
    try:
        return await future
    except asyncio.CancelledError:
        if patience.fate is not None:
            raise patience.fate from None
        raise
    finally:
        patience.end()


# Ids of our own: a random beginning for the process, then a count.
_PROCESS_ID = secrets.token_hex(4).encode()
_numbers = count()


def _request_id(scope: Scope) -> bytes:
    """The caller's X-Request-Id where it is harmless, else a new one."""
    given = header(scope, b"x-request-id")
    if given and len(given) <= 128 and _ALLOWED_IN_ID.issuperset(given):
        return given
    return b"%s%08x" % (_PROCESS_ID, next(_numbers))


def _headers(
    content: bytes, media: str, servable: Servable | None, request_id: bytes, stages: _Stages
) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", media.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id),
    ]
    if servable is not None:
        headers += [
            (b"x-model-name", servable.model.encode()),
            (b"x-model-version", servable.version.encode()),
            (b"server-timing", stages.header()),
        ]
    return headers


def _log_failure(error: Exception, outcome: str, servable: Servable | None, request_id: bytes) -> None:
    """Callers' mistakes are theirs to read; the model's and our own are logged with the request id."""
    if outcome not in ("model_error", "internal"):
        return
    what = f"{servable.model} version {servable.version}" if servable else "no model"
    cause = error.__cause__ if isinstance(error, PredictError) and error.__cause__ else error
    level = logging.WARNING if isinstance(error, PenstockError) and outcome == "model_error" else logging.ERROR
    log.log(level, "Request %s to %s failed. %s", request_id.decode(), what, error, exc_info=cause)
