"""The slow path: one request over ASGI, whatever it is. Raw ASGI, since it is still a hot path.

Whether there is room is asked before the body is read, and again when its rows are known. The body is read before a
version is leased, so that a slow client never holds one; the lease spans the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from starlette.types import Receive, Scope, Send

from penstock.http.bodies import ClientLeft, answer_unread, read_body
from penstock.http.deadlines import DeadlineSweep, RequestDeadline
from penstock.http.headers import declared_length, header
from penstock.machine.memory_file import MemoryFile
from penstock.server.predict.pipeline import Pipeline
from penstock.server.predict.reading import BodyReading
from penstock.server.predict.request_record import PredictResponse, RequestRecord
from penstock.serving.batching.admission import InflightHold
from penstock.wire.content_encoding import encodings_of
from penstock.wire.interface import ReadElsewhere, WireProtocol


class PredictEndpoint:
    """The ASGI endpoint for every path of one protocol; path parameters name the model and the version."""

    def __init__(
        self,
        pipeline: Pipeline,
        protocol: WireProtocol,
        sweep: DeadlineSweep,
        reading: BodyReading,
        *,
        max_body_bytes: int,
    ) -> None:
        self._pipeline = pipeline
        self._protocol = protocol
        self._sweep = sweep
        self._reading = reading
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
        pipeline, reading, target = self._pipeline, self._reading, scope["path_params"]
        pipeline.admit(record, scope, target, declared_length(scope))
        deadline = RequestDeadline(receive, record.deadline, record.start, self._sweep)
        hold = InflightHold(pipeline.gateway)
        client = (scope.get("client") or ("",))[0]
        try:
            encoding = header(scope, b"content-encoding")
            encodings = () if encoding is None else encodings_of(encoding.decode("latin-1"))
            body = await read_body(scope, receive, self._max_body_bytes, hold, spool_above=reading.spool_above)
            record.unread = deadline.reading = False
            with _kept(body), pipeline.find(record, target).lease():
                await reading.read(record, body, encodings, hold, deadline, client)
                answer = await deadline.watch(pipeline.predict(record))
                try:
                    return pipeline.write(record, answer)
                except ReadElsewhere:
                    writing = asyncio.ensure_future(reading.write(record, answer, client))
                    return await deadline.watch(writing)
        except asyncio.CancelledError as cancelled:
            raise deadline.cut_short(cancelled) from None
        finally:
            hold.release()
            deadline.end()


@contextmanager
def _kept(body: bytes | MemoryFile) -> Iterator[None]:
    """A body in a file is there as long as its request."""
    try:
        yield
    finally:
        if isinstance(body, MemoryFile):
            body.close()
