"""Batching while busy: requests that arrive while the model works form the next batch.

An idle model is given what is there at the end of the loop tick. No timers, no polling. Every caller gets exactly its
own rows; where a joined batch fails, its jobs run again apart, so a bad row fails its sender alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from penstock.errors import Closing, Overloaded, PenstockError, PredictError
from penstock.payload import Payload, Value, join
from penstock.serving.lanes import Batch, DispatchReason, Job, Lanes
from penstock.serving.runner import Runner

log = logging.getLogger("penstock.serving")

MAX_ROWS = 1024
MAX_QUEUE_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with the seconds it waited and the seconds the model took."""

    payload: Payload
    queue: float
    predict: float


class Observer(Protocol):
    """What a batcher tells the metrics."""

    def dispatched(self, batch: Batch) -> None: ...

    def queued(self, rows: int) -> None: ...


class Batcher:
    """Joins jobs for one runner.

    `joined` is whether rows of several callers may be predicted together; the batcher itself turns it off for good when
    an answer shows otherwise. `max_rows` bounds a batch, `max_queue_rows` what may wait.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        joined: bool,
        observer: Observer | None = None,
        max_rows: int = MAX_ROWS,
        max_queue_rows: int = MAX_QUEUE_ROWS,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._runner = runner
        self._observer = observer
        self._max_rows = max_rows
        self._max_queue_rows = max_queue_rows
        self._clock = clock
        # The whole mutable state: what waits, how many batches run, whether a tick's end is awaited, the two switches.
        self._lanes = Lanes()
        self._running: set[asyncio.Task[None]] = set()
        self._woken = False
        self._closed = False
        self.joined = joined

    async def submit(self, payload: Payload, params: Mapping[str, Any]) -> Answer:
        """The answer to one caller's payload; one larger than a batch is split and put together again in order.

        Raises PredictError, Overloaded, Closing.
        """
        rows = payload.rows
        if self.joined and rows is not None and rows > self._max_rows and not isinstance(payload, Value):
            parts: list[Payload] = [payload.take(slice(a, a + self._max_rows)) for a in range(0, rows, self._max_rows)]
            answers = await self._submit(parts, params)
            if all(a.payload.rows == p.rows for a, p in zip(answers, parts, strict=True)):
                return self._put_together(answers)
            wrong = next(i for i, (a, p) in enumerate(zip(answers, parts, strict=True)) if a.payload.rows != p.rows)
            self._stop_joining(parts[wrong].rows or 0, answers[wrong].payload)
        return (await self._submit([payload], params))[0]

    async def _submit(self, parts: list[Payload], params: Mapping[str, Any]) -> list[Answer]:
        if self._closed:
            raise Closing("This version is being closed.")
        loop = asyncio.get_running_loop()
        now = self._clock()
        jobs = [Job(part, params, loop.create_future(), now) for part in parts]
        if self._lanes.rows and self._lanes.rows + sum(job.room for job in jobs) > self._max_queue_rows:
            raise Overloaded(f"{self._lanes.rows} rows are waiting, and {self._max_queue_rows} may.")
        for job in jobs:
            self._lanes.add(job)
        self._tell_queue()
        if not self._woken and len(self._running) < self._runner.slots:
            self._woken = True
            loop.call_soon(self._end_of_tick)
        try:
            return [await job.reply for job in jobs]
        finally:
            for job in jobs:  # the caller left, or one part failed: the rest is not worth computing
                if not job.reply.done():
                    job.reply.cancel()
                elif not job.reply.cancelled():
                    job.reply.exception()  # looked at, so that asyncio does not report it as lost

    @staticmethod
    def _put_together(answers: list[Answer]) -> Answer:
        try:
            whole = join([a.payload for a in answers])
        except ValueError as error:
            raise PredictError("The model's answers to the parts of a large request do not fit together.") from error
        return Answer(whole, answers[0].queue, sum(a.predict for a in answers))

    def _end_of_tick(self) -> None:
        self._woken = False
        self._dispatch("idle")

    def _dispatch(self, trigger: DispatchReason) -> None:
        """Starts as many batches as the runner has room for."""
        while len(self._running) < self._runner.slots:
            batch = self._lanes.take(self._max_rows, trigger, joined=self.joined)
            if batch is None:
                break
            if self._observer is not None:
                self._observer.dispatched(batch)
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(task)
        self._tell_queue()

    async def _run(self, batch: Batch) -> None:
        try:
            await self._answer(batch.jobs, self._clock())
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._running.discard(task)
            self._dispatch("freed")

    async def _answer(self, jobs: list[Job], started: float) -> None:
        """Answers every job: together if that works, else in halves, at last one by one."""
        jobs = [job for job in jobs if not job.reply.done()]
        if not jobs:
            return
        if len(jobs) == 1:
            await self._answer_one(jobs[0], started)
            return
        try:
            payload, seconds = await self._runner.run(join([job.payload for job in jobs]), jobs[0].params)
        except Exception:  # whose rows are at fault shows when they run apart
            middle = len(jobs) // 2
            await self._answer(jobs[:middle], started)
            await self._answer(jobs[middle:], started)
            return
        total = sum(job.rows for job in jobs)
        if isinstance(payload, Value) or payload.rows != total:
            self._stop_joining(total, payload)
            for job in jobs:
                await self._answer([job], started)
            return
        position = 0
        for job in jobs:
            if not job.reply.done():
                own = payload.take(slice(position, position + job.rows))
                job.reply.set_result(Answer(own, started - job.enqueued, seconds))
            position += job.rows

    async def _answer_one(self, job: Job, started: float) -> None:
        try:
            payload, seconds = await self._runner.run(job.payload, job.params)
        except Exception as error:
            if not job.reply.done():
                job.reply.set_exception(error if isinstance(error, PenstockError) else _unexpected(error))
            return
        if not job.reply.done():
            job.reply.set_result(Answer(payload, started - job.enqueued, seconds))

    def _stop_joining(self, rows: int, answer: Payload) -> None:
        if self.joined:
            self.joined = False
            got = "one value" if isinstance(answer, Value) else repr(answer)  # a value may be anything, of any size
            log.warning("Rows of several callers are no longer predicted together: %d rows gave %s.", rows, got)

    def _tell_queue(self) -> None:
        if self._observer is not None:
            self._observer.queued(self._lanes.rows)

    async def close(self) -> None:
        """Refuses what still waits, and waits for what runs."""
        self._closed = True
        for job in self._lanes.clear():
            job.reply.set_exception(Closing("This version is being closed."))
        while self._running:
            await asyncio.wait(self._running)

    def __repr__(self) -> str:
        how = "joined" if self.joined else "unjoined"
        return f"<Batcher {how}, {len(self._running)} running, {self._lanes!r}>"


def _unexpected(error: Exception) -> PenstockError:
    log.error("A prediction failed in Penstock itself.", exc_info=error)
    wrapped = PenstockError(f"The prediction failed inside the gateway ({type(error).__name__}).")
    wrapped.__cause__ = error
    return wrapped
