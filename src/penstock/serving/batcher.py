"""Batching while busy: requests that arrive while the model works form the next batch.

An idle model is given what is there at the end of the loop tick. No timers, no polling. Every caller gets exactly its
own rows; where a joined batch fails, its jobs run again apart, so a bad row fails its sender alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from penstock.errors import Closing, Overloaded, PenstockError, PredictError
from penstock.payload import Params, Payload, Value, join
from penstock.serving.cost import CostModel
from penstock.serving.lanes import Batch, DispatchReason, Job, Lanes
from penstock.serving.runner import Runner, RunNow

log = logging.getLogger("penstock.serving")

MAX_ROWS = 1024
MAX_QUEUE_ROWS = 65_536

# A batch that is predicted to cost less than this runs on the event loop itself.
INLINE_SECONDS = 0.0005
_TRY_INLINE_EVERY = 64


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
        self._run_now: RunNow | None = getattr(runner, "run_now", None)
        self._observer = observer
        self._max_rows = max_rows
        self._max_queue_rows = max_queue_rows
        self._clock = clock
        # The whole mutable state: what waits, how many batches run, whether a tick's end is awaited, what batches cost
        # and how many went to a thread since the last did not, the two switches.
        self._lanes = Lanes()
        self._running: set[asyncio.Task[None]] = set()
        self._woken = False
        self._closed = False
        self.cost = CostModel()
        self._threaded = 0
        self.joined = joined

    def enqueue(self, payload: Payload, params: Params) -> asyncio.Future[Answer]:
        """The answer to come for one caller's payload; cancelling it drops the job.

        One larger than a batch is split and put together again in order. Raises Overloaded, Closing; the future
        raises PredictError, Closing.
        """
        rows = payload.rows
        if rows is not None and rows > self._max_rows and self.joined and not isinstance(payload, Value):
            parts: list[Payload] = [payload.take(slice(a, a + self._max_rows)) for a in range(0, rows, self._max_rows)]
            jobs = self._admit(parts, params)
            return asyncio.get_running_loop().create_task(self._submit_parts(payload, params, parts, jobs))
        reply: asyncio.Future[Answer] = self._admit([payload], params)[0].reply
        return reply

    async def submit(self, payload: Payload, params: Params) -> Answer:
        """Enqueues and waits. Raises PredictError, Overloaded, Closing."""
        return await self.enqueue(payload, params)

    def _admit(self, parts: list[Payload], params: Params) -> list[Job]:
        """Puts the parts of one payload into the queue, all or none. Raises Overloaded, Closing."""
        if self._closed:
            raise Closing("This version is being closed.")
        loop = asyncio.get_running_loop()
        now = self._clock()
        jobs = [Job(part, params, loop.create_future(), now) for part in parts]
        if self._lanes.rows and self._lanes.rows + sum(job.room for job in jobs) > self._max_queue_rows:
            raise Overloaded(f"{self._lanes.rows} rows are waiting, and {self._max_queue_rows} may.")
        for job in jobs:
            self._lanes.add(job)
        if not self._woken and len(self._running) < self.slots:
            self._woken = True
            loop.call_soon(self._end_of_tick)
        elif self._observer is not None:
            self._observer.queued(self._lanes.rows)
        return jobs

    @property
    def slots(self) -> int:
        """Batches at once: one where rows are joined, since what arrives meanwhile is the next batch."""
        return 1 if self.joined else self._runner.slots

    async def _submit_parts(self, payload: Payload, params: Params, parts: list[Payload], jobs: list[Job]) -> Answer:
        answers = await _all_replies(jobs)
        wrong = next((i for i, (a, p) in enumerate(zip(answers, parts, strict=True)) if a.payload.rows != p.rows), None)
        if wrong is None:
            return self._put_together(answers)
        self._stop_joining(parts[wrong].rows or 0, answers[wrong].payload)
        return (await _all_replies(self._admit([payload], params)))[0]

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
        """Starts as many batches as there is room for. One that costs next to nothing is run right here."""
        while len(self._running) < self.slots:
            batch = self._lanes.take(self._max_rows, trigger, joined=self.joined)
            if batch is None:
                break
            if self._observer is not None:
                self._observer.dispatched(batch)
            if not self._worth_inline(batch.rows) or not self._run_inline(batch):
                self._running.add(asyncio.get_running_loop().create_task(self._run(batch)))
        if self._observer is not None:
            self._observer.queued(self._lanes.rows)

    def _worth_inline(self, rows: int) -> bool:
        """Whether a batch is cheap enough. In a thread a batch waits for the interpreter and looks dearer than it is,
        so that now and then one that is not quite cheap enough is tried all the same."""
        if self._run_now is None:
            return False
        expected = self.cost.predict(rows)
        self._threaded += 1
        if expected <= INLINE_SECONDS or (expected <= 4 * INLINE_SECONDS and self._threaded >= _TRY_INLINE_EVERY):
            self._threaded = 0
            return True
        return False

    def _run_inline(self, batch: Batch) -> bool:
        """Predicts on the event loop, which saves two hops between threads. False where the batch needs a second look:
        it runs again the long way, which finds whose rows are at fault."""
        assert self._run_now is not None
        started = self._clock()
        jobs = batch.jobs
        try:
            payload = jobs[0].payload if len(jobs) == 1 else join([job.payload for job in jobs])
            answer, seconds = self._run_now(payload, jobs[0].params)
        except Exception:
            return False
        self.cost.observe(batch.rows, seconds)
        return self._hand_out(jobs, answer, started, seconds)

    def _hand_out(self, jobs: list[Job], answer: Payload, started: float, seconds: float) -> bool:
        """Gives every job its own rows of a joined answer; False where the answer is not one item for each row."""
        if len(jobs) == 1:
            _resolve(jobs[0], Answer(answer, started - jobs[0].enqueued, seconds))
            return True
        if isinstance(answer, Value) or answer.rows != sum(job.rows for job in jobs):
            return False
        position = 0
        for job in jobs:
            end = position + job.rows
            if not job.reply.done():
                own = answer.take(slice(position, end))
                job.reply.set_result(Answer(own, started - job.enqueued, seconds))
            position = end
        return True

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
        self.cost.observe(sum(job.rows for job in jobs), seconds)
        if not self._hand_out(jobs, payload, started, seconds):
            self._stop_joining(sum(job.rows for job in jobs), payload)
            for job in jobs:
                await self._answer([job], started)

    async def _answer_one(self, job: Job, started: float) -> None:
        try:
            payload, seconds = await self._runner.run(job.payload, job.params)
        except Exception as error:
            if not job.reply.done():
                job.reply.set_exception(error if isinstance(error, PenstockError) else _unexpected(error))
            return
        self.cost.observe(job.rows, seconds)
        _resolve(job, Answer(payload, started - job.enqueued, seconds))

    def _stop_joining(self, rows: int, answer: Payload) -> None:
        if self.joined:
            self.joined = False
            got = "one value" if isinstance(answer, Value) else repr(answer)  # a value may be anything, of any size
            log.warning("Rows of several callers are no longer predicted together: %d rows gave %s.", rows, got)

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


async def _all_replies(jobs: list[Job]) -> list[Answer]:
    """The answers to the parts of one request. Where one fails, or the caller leaves, the rest is dropped."""
    try:
        return [await job.reply for job in jobs]
    finally:
        for job in jobs:
            if not job.reply.done():
                job.reply.cancel()
            elif not job.reply.cancelled():
                job.reply.exception()  # looked at, so that asyncio does not report it as lost


def _resolve(job: Job, answer: Answer) -> None:
    if not job.reply.done():
        job.reply.set_result(answer)


def _unexpected(error: Exception) -> PenstockError:
    log.error("A prediction failed in Penstock itself.", exc_info=error)
    wrapped = PenstockError(f"The prediction failed inside the gateway ({type(error).__name__}).")
    wrapped.__cause__ = error
    return wrapped
