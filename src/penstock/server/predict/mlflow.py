"""POST …/invocations: body, rows, answer. The hot path, hence raw ASGI.

Whether there is room is asked before the body is read, and again when its rows are known. The body is read before a
version is leased, so that a slow client never holds one; the lease spans the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter

from starlette.types import Receive, Scope, Send

from penstock.errors import Overloaded
from penstock.http.bodies import ClientLeft, answer_unread, read_body
from penstock.http.deadlines import DeadlineSweep, RequestDeadline, timeout_of
from penstock.http.events.request_event import CLIENT_LEFT, OnRequest, RequestWatch
from penstock.http.headers import declared_length, header, media_type
from penstock.http.unpacking import Unpacker
from penstock.server.predict.request_record import RequestRecord, answer_media, failure_of
from penstock.server.targets import request_id
from penstock.serving.batching.admission import InflightHold
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.wire.formats import READERS, encode
from penstock.wire.mlflow.body_reader import LibraryWanted

TIMEOUT = 60.0


@dataclass(slots=True)
class _Work:
    """What a request is read from, and whether its body is still unread."""

    scope: Scope
    receive: Receive
    unread: bool = True


class Invocations:
    """The ASGI endpoint for every /invocations path; path parameters name the model and the version."""

    def __init__(
        self,
        gateway: Gateway,
        sweep: DeadlineSweep,
        unpacker: Unpacker,
        *,
        max_body_bytes: int,
        timeout: float = TIMEOUT,
        nan_words: bool = False,
        on_overload: Callable[[], None] = lambda: None,
        observe: OnRequest | None = None,
    ) -> None:
        """`on_overload` is called for every request that there is no room for, `observe` is told of every request."""
        self._gateway = gateway
        self._nan_words = nan_words
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._unserved = gateway.metrics.version("", "")
        self._sweep = sweep
        self._unpacker = unpacker
        self._on_overload = on_overload
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = RequestRecord(perf_counter(), request_id(header(scope, b"x-request-id")), self._unserved)
        if self._observe is not None:
            call.watch = RequestWatch(self._observe, scope, scope.get("client"), declared_length(scope))
        work = _Work(scope, receive)
        headers: list[tuple[bytes, bytes]] = []
        try:
            content, media = await self._handle(call, work)
            status, outcome = 200, "ok"
        except ClientLeft:
            call.count("client_error", perf_counter(), CLIENT_LEFT)
            return
        except Exception as error:
            failure = failure_of(error, call)
            status, outcome, content, media, headers = (
                failure.status,
                failure.outcome,
                failure.content,
                failure.media,
                failure.headers,
            )
            if isinstance(error, Overloaded):
                self._on_overload()
            if status == 413:
                headers.append((b"connection", b"close"))
                work.unread = False
        call.count(outcome, perf_counter(), status, content)
        headers += call.headers(content, media)
        start = {"type": "http.response.start", "status": status, "headers": headers}
        if work.unread:
            await answer_unread(scope, receive, send, start, content)
            return
        try:
            await send(start)
            await send({"type": "http.response.body", "body": content})
        except RuntimeError as error:  # uvloop's, in the moment between a client's leaving and the news of it
            if "closed" not in str(error):
                raise

    async def _handle(self, call: RequestRecord, work: _Work) -> tuple[bytes, str]:
        """The answer's body and media type. Raises ClientLeft and every PenstockError that a request may meet."""
        scope, receive = work.scope, work.receive
        media = media_type(scope, READERS)
        wanted = answer_media(scope)
        path = scope["path_params"]
        name, version = path.get("name"), path.get("version")
        servable = self._gateway.peek(name, version)
        seconds = timeout_of(scope, self._timeout if servable is None else servable.timeout or self._timeout)
        call.servable = servable
        self._gateway.admit(servable, seconds, declared_length(scope))
        call.servable = None
        deadline = call.start + seconds
        patience = RequestDeadline(receive, deadline, call.start, self._sweep)
        hold = InflightHold(self._gateway)
        try:
            body = await read_body(scope, receive, self._max_body_bytes, hold)
            work.unread = patience.reading = False
            if header(scope, b"content-encoding") is not None:
                body = await self._unpacker.unpack(scope, body, self._max_body_bytes, hold)
            call.servable = servable = self._gateway.find(name, version)
            with servable.lease():
                return await self._answer(call, servable, media, body, wanted, patience, deadline)
        except asyncio.CancelledError as cancelled:
            raise patience.cut_short(cancelled) from None
        finally:
            hold.release()
            patience.end()

    async def _answer(
        self,
        call: RequestRecord,
        servable: Servable,
        media: str,
        body: bytes,
        wanted: str,
        patience: RequestDeadline,
        deadline: float,
    ) -> tuple[bytes, str]:
        began = perf_counter()
        while True:
            try:
                request = servable.read(media, body)
                break
            except LibraryWanted as library:  # one after the other, where several are
                await asyncio.to_thread(import_module, library.name)
        params = servable.conform_params(request.params)
        call.decode = perf_counter() - began
        if call.watch is not None:
            call.watch.received, call.watch.rows = len(body), request.payload.rows
        answer = await patience.watch(servable.predict(request.payload, params, deadline))
        call.queue, call.predict = answer.queue, answer.predict
        began = perf_counter()
        encoded = encode(answer.payload, wanted, wrapped=request.wrapped, nan_words=self._nan_words)
        call.encode = perf_counter() - began
        return encoded
