"""The slow path: one request over ASGI, whatever it is. Raw ASGI, since it is still a hot path.

Whether there is room is asked before the body is read, and again when its rows are known. The body is read before a
version is leased, so that a slow client never holds one; the lease spans the rest.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from time import perf_counter

from starlette.types import Receive, Scope, Send

from penstock.http.bodies import ClientLeft, answer_unread, read_body
from penstock.http.deadlines import DeadlineSweep, RequestDeadline
from penstock.http.headers import declared_length, header
from penstock.http.unpacking import Unpacker
from penstock.server.predict.pipeline import Pipeline
from penstock.server.predict.request_record import PredictResponse, RequestRecord
from penstock.serving.batching.admission import InflightHold
from penstock.wire.interface import LibraryWanted, WireProtocol


class PredictEndpoint:
    """The ASGI endpoint for every path of one protocol; path parameters name the model and the version."""

    def __init__(
        self,
        pipeline: Pipeline,
        protocol: WireProtocol,
        sweep: DeadlineSweep,
        unpacker: Unpacker,
        *,
        max_body_bytes: int,
    ) -> None:
        self._pipeline = pipeline
        self._protocol = protocol
        self._sweep = sweep
        self._unpacker = unpacker
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = self._pipeline.open(self._protocol, perf_counter(), scope, scope.get("client"))
        try:
            response = await self._respond(record, scope, receive)
        except ClientLeft:
            self._pipeline.count(record, None)
            return
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            response = self._pipeline.fail(record, error)
        self._pipeline.count(record, response)
        headers = record.headers(response)
        if response.status == 413:  # what was too large is read away, as far as that is reasonable
            headers.append((b"connection", b"close"))
            record.unread = False
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        if record.unread:
            await answer_unread(scope, receive, send, start, response.content)
            return
        try:
            await send(start)
            await send({"type": "http.response.body", "body": response.content})
        except RuntimeError as error:  # uvloop's, in the moment between a client's leaving and the news of it
            if "closed" not in str(error):
                raise

    async def _respond(self, record: RequestRecord, scope: Scope, receive: Receive) -> PredictResponse:
        """The model's answer. Raises ClientLeft and every PenstockError that a request may meet."""
        pipeline, target = self._pipeline, scope["path_params"]
        pipeline.admit(record, scope, target, declared_length(scope))
        deadline = RequestDeadline(receive, record.deadline, record.start, self._sweep)
        hold = InflightHold(pipeline.gateway)
        try:
            body = await read_body(scope, receive, self._max_body_bytes, hold)
            record.unread = deadline.reading = False
            if header(scope, b"content-encoding") is not None:
                body = await self._unpacker.unpack(scope, body, self._max_body_bytes, hold)
            with pipeline.find(record, target).lease():
                while (library := self._read(record, body)) is not None:  # one after the other, where several are
                    began = perf_counter()
                    await asyncio.to_thread(import_module, library)
                    record.decode += perf_counter() - began
                answer = await deadline.watch(pipeline.predict(record))
                return pipeline.write(record, answer)
        except asyncio.CancelledError as cancelled:
            raise deadline.cut_short(cancelled) from None
        finally:
            hold.release()
            deadline.end()

    def _read(self, record: RequestRecord, body: bytes) -> str | None:
        """Reads the body; the library that has to be imported before that can be done."""
        try:
            self._pipeline.read(record, body)
        except LibraryWanted as library:
            return library.name
        return None
