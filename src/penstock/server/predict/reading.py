"""Which bodies are read on the event loop and which by reader processes, and the same of answers; for both drivers."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TypeVar

from penstock.errors import InputTooLarge
from penstock.http.bodies import BodyHold
from penstock.http.deadlines import RequestDeadline
from penstock.machine.memory_file import MemoryFile
from penstock.reader_process.pool import ReaderPool
from penstock.server.predict.pipeline import Pipeline
from penstock.server.predict.request_record import PredictResponse, RequestRecord
from penstock.serving.batching.jobs import Answer
from penstock.wire.content_encoding import unpack
from penstock.wire.interface import MAX_ON_LOOP, ReadElsewhere

T = TypeVar("T")


class BodyReading:
    """`pool` None reads and writes everything in this process, however long it takes. `max_body_bytes` is the most that
    a body may unpack to."""

    def __init__(self, pipeline: Pipeline, pool: ReaderPool | None, max_body_bytes: int) -> None:
        self._pipeline = pipeline
        self._pool = pool
        self._max_bytes = max_body_bytes
        self._max_on_loop = max_body_bytes if pool is None else min(max_body_bytes, MAX_ON_LOOP)

    @property
    def spool_above(self) -> int:
        """The size from which a body should be in a file."""
        return self._max_on_loop

    async def read(
        self,
        record: RequestRecord,
        body: bytes | MemoryFile,
        encodings: tuple[str, ...],
        hold: BodyHold,
        deadline: RequestDeadline,
        client: str,
    ) -> None:
        """The body as the model takes it. Raises what `Pipeline.read` raises, and Overloaded."""
        if isinstance(body, bytes) and self._on_loop(record, body, encodings, hold):
            return
        assert self._pool is not None
        assert record.binding is not None
        file = _in_file(body) if isinstance(body, bytes) else body
        packed = file.size
        began = perf_counter()
        reading = self._pool.read(client, record.binding.spec, record.media, file, encodings, self._max_bytes)
        result = await deadline.watch(asyncio.ensure_future(reading))
        if result.size > packed:
            hold.take(result.size - packed)
        self._pipeline.was_read(record, result, perf_counter() - began)

    def _on_loop(self, record: RequestRecord, body: bytes, encodings: tuple[str, ...], hold: BodyHold) -> bool:
        """Reads what takes next to no time. False where that is not so."""
        packed = len(body)
        if packed > self._max_on_loop:
            return False
        if encodings:
            try:
                body = unpack(body, encodings, self._max_on_loop)
            except InputTooLarge:
                if self._max_on_loop == self._max_bytes:
                    raise
                return False
        try:
            self._pipeline.read(record, body)
        except ReadElsewhere:
            return False
        if len(body) > packed:
            hold.take(len(body) - packed)
        return True

    async def write(self, record: RequestRecord, answer: Answer, client: str) -> PredictResponse:
        """The model's answer as bytes, of one that `Pipeline.write` left to others. Raises AnswerUnserializable,
        Overloaded."""
        assert self._pool is not None
        assert record.binding is not None
        assert record.request is not None
        began = perf_counter()
        spec, media = record.binding.spec, record.answer_media
        content, media = await self._pool.write(client, spec, media, answer.payload, record.request)
        return self._pipeline.was_written(record, content, media, perf_counter() - began)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


def _in_file(body: bytes) -> MemoryFile:
    file = MemoryFile()
    file.write([body])
    return file
