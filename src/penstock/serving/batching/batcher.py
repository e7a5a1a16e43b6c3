"""Batching while busy: requests that arrive while the model works form the next batch.

An idle model is given what is there at the end of the loop tick. No timers, no polling. Every caller gets exactly its
own rows; where a joined batch fails, its jobs run again apart, so a bad row fails its sender alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, Protocol

from penstock.defaults import MAX_QUEUE_ROWS, MAX_ROWS
from penstock.errors import Closing, DeadlineExceeded, ModelProcessLost, Overloaded, PenstockError, PredictError
from penstock.payload import Params, Payload, Value, join
from penstock.serving.batching.admission import DrainRate, misses_deadline, retry_after
from penstock.serving.batching.cost_model import INLINE_SECONDS, CostModel, Inline, PartSize
from penstock.serving.batching.jobs import Answer, Job, Reply, fail, put_together, resolve
from penstock.serving.batching.lanes import Batch, DispatchReason, Lanes
from penstock.serving.batching.large_requests import LargeRequest, joins_quickly
from penstock.serving.runners.runner import Runner, RunNow

log = logging.getLogger("penstock.serving")

# A model in another process is asked ahead, so that it has the next question when it has answered one: with as many as
# it will have answered within so many seconds. What has been asked cannot be taken back.
_ASK_AHEAD = 0.004

# How many turns of the event loop an idle model waits at most while every one of them brings more.
_TURNS = 8

_CLOSING = "This version is being closed."


class Observer(Protocol):
    """What a batcher tells the metrics."""

    def dispatched(self, batch: Batch) -> None: ...

    def queued(self, rows: int, large: int) -> None: ...

    def drained(self, rate: float) -> None: ...


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
        # Of its own: the threads that everything shares may be waiting for a registry. It starts none until used.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-join")
        # The whole mutable state: what waits, how many batches run; whether a tick's end is awaited, how many waited at
        # the last one, for how many it has been put off, and how many went into the last batch; answers that are put
        # together in a thread; what batches cost, also on the loop, and how large a part may be; how fast rows leave
        # and when the last did; the two switches.
        self._lanes = Lanes()
        self._running: set[asyncio.Future[Any]] = set()
        self._woken = False
        self._seen = 0
        self._usual = self._turns = 0
        self._closed = False
        self._joining: set[asyncio.Task[None]] = set()
        self.cost = CostModel()
        self._part_size = PartSize(self.cost, max_rows)
        self._inline = Inline()
        self.drain = DrainRate()
        self._drained_at = -inf
        self.joined = joined

    def enqueue(self, payload: Payload, params: Params, deadline: float = inf) -> asyncio.Future[Answer]:
        """The answer to come for one caller's payload; cancelling it takes the job out of the queue at once.

        A large one is given out in parts, and put together again in order. What has not begun at its `deadline`, on
        this batcher's clock, is dropped when its turn comes; who wants it gone in that moment sets a timer and cancels.
        Raises Overloaded, Closing; the future raises PredictError, DeadlineExceeded, Closing.
        """
        if self._closed:
            raise Closing(_CLOSING)
        loop = asyncio.get_running_loop()
        now = self._clock()
        reply = Reply(loop=loop)
        job = Job(payload, params, reply, now, deadline)
        if job.rows > 1 and self.joined and not self._part_size.fits(job.rows):
            job = LargeRequest(payload, params, reply, now, deadline, self._parts_answered)
        if self._lanes.rows and (refusal := self.refusal(job.room, deadline - now, large=job.large)) is not None:
            raise refusal
        self._wait_in_lane(job)
        return reply

    async def submit(self, payload: Payload, params: Params, deadline: float = inf) -> Answer:
        """Enqueues and waits. Raises PredictError, Overloaded, DeadlineExceeded, Closing."""
        return await self.enqueue(payload, params, deadline)

    def refusal(self, rows: int, time_left: float, *, large: bool = False) -> Overloaded | None:
        """Why `rows` more rows, whose caller has `time_left` seconds, are not admitted now; None if they are. An empty
        queue takes any request; `large` ones have a queue of their own, since the others do not wait for them."""
        waiting = self._lanes.large.rows if large else self._lanes.rows - self._lanes.large.rows
        if not waiting:
            return None
        if waiting + rows > self._max_queue_rows:
            message = f"{waiting} rows are waiting; the limit is {self._max_queue_rows}."
            return Overloaded(message, limit="rows", retry_after=retry_after(waiting, self.drain.value))
        # Batches of the usual size, one for each job, are more than there will be: mostly that is soon enough.
        if not self._lanes.large.waiting and not misses_deadline(self.cost.mean * (self._lanes.jobs + 1), time_left):
            return None
        if misses_deadline(expected := self._expected(waiting + rows), time_left):
            message = f"{waiting} rows are waiting; an answer would take {expected:.1f} s or more."
            return Overloaded(message, limit="deadline", retry_after=retry_after(waiting, self.drain.value))
        return None

    def _expected(self, rows: int) -> float:
        """Seconds until so many rows, with all that waits among them, are answered, at the least."""
        if self.joined:
            return self.cost.at_least(rows, self._max_rows) / self._runner.together
        return self.cost.mean * (self._lanes.jobs // self._runner.slots + 1)

    def _wait_in_lane(self, job: Job) -> None:
        self._lanes.add(job)
        reply = job.reply
        reply.leave, reply.lane, reply.number = self._left, job.lane, job.number
        self._wake()

    def _wake(self) -> None:
        if not self._woken and len(self._running) < self.slots:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._end_of_tick)
        elif self._observer is not None:
            self._observer.queued(self._lanes.rows - self._lanes.large.rows, self._lanes.large.rows)

    def _left(self, lane: Hashable, number: int) -> None:
        """A caller has gone, or run out of time: its rows make room for others now."""
        if self._lanes.remove(lane, number) and self._observer is not None:
            self._observer.queued(self._lanes.rows - self._lanes.large.rows, self._lanes.large.rows)

    @property
    def slots(self) -> int:
        """Batches at once: one for each process where rows are joined, since what arrives meanwhile is the next."""
        if self.joined:
            return self._runner.together
        return self._runner.slots + ahead(self._runner, self.cost.mean)

    def _parts_answered(self, request: LargeRequest) -> None:
        """A large request has its last answer, or one that is not one item for each row."""
        if request.misfit is not None:
            self._stop_joining(*request.misfit)
            self._lanes.remove(request.lane, request.number)
            request.restart()
            self._wait_in_lane(request)  # no more in parts, since nothing is joined any more
            return
        answers: list[Answer] = request.in_order
        if joins_quickly([answer.payload for answer in answers]):
            try:
                resolve(request, put_together(answers))
            except PredictError as error:
                fail(request, error)
            return
        joining = asyncio.get_running_loop().create_task(self._join_in_thread(request, answers))
        self._joining.add(joining)
        joining.add_done_callback(self._joining.discard)

    async def _join_in_thread(self, request: LargeRequest, answers: list[Answer]) -> None:
        try:
            loop = asyncio.get_running_loop()
            resolve(request, await loop.run_in_executor(self._thread, put_together, answers))
        except Exception as error:
            fail(request, error)

    def _end_of_tick(self) -> None:
        """Gives an idle model the jobs that wait. While more arrive at every turn of the loop, it waits a few turns:
        the callers of the last batch are just sending their next requests, and would otherwise be split into two
        batches that alternate."""
        waiting = self._lanes.jobs
        if waiting > self._seen and waiting + self._usual > 2 and self._turns < _TURNS:
            self._seen = waiting
            self._turns += 1
            asyncio.get_running_loop().call_soon(self._end_of_tick)
            return
        self._woken = False
        self._seen = self._turns = 0
        self._dispatch("idle")

    def _dispatch(self, trigger: DispatchReason) -> None:
        """Starts as many batches as there is room for. One that costs next to nothing is run right here."""
        begun = self._clock()
        while len(self._running) < self.slots:
            most = self._part_size.rows() if self._lanes.large.waiting else self._max_rows
            batch = self._lanes.take(most, trigger, joined=self.joined)
            if batch is None:
                break
            if (now := self._clock()) >= batch.deadline:
                batch = batch.of(self._in_time(batch.jobs, now))
                if not batch.jobs:
                    continue
            try:
                here = self._begin(batch)
            except Exception as error:  # a mistake of ours: nobody is left waiting for it
                for job in batch.jobs:
                    fail(job, error)
                continue
            if here and self._lanes.jobs and self._clock() - begun >= INLINE_SECONDS:
                self._wake()  # many small batches make a long one; whoever else needs the loop has it in between
                break
        if self._observer is not None:
            self._observer.queued(self._lanes.rows - self._lanes.large.rows, self._lanes.large.rows)

    def _begin(self, batch: Batch) -> bool:
        """Gives a batch to the model. True where it has been answered right here."""
        self._usual = len(batch.jobs)
        if self._observer is not None:
            self._observer.dispatched(batch)
        here = self._run_now is not None and self._inline.choose(batch.rows, self.cost.predict(batch.rows))
        if here and self._run_inline(batch):
            return True
        if len(batch.jobs) == 1:
            self._start(batch.jobs[0])
        else:
            self._running.add(asyncio.get_running_loop().create_task(self._run(batch)))
        return False

    def _in_time(self, jobs: list[Job], now: float) -> list[Job]:
        """Those that still wait for an answer. A timer drops what is late; this is for those that are late themselves,
        when the loop has too much to do, and for what was dispatched before."""
        for job in jobs:
            if now >= job.deadline and not job.reply.done():
                job.reply.set_exception(
                    DeadlineExceeded("The request's deadline passed while the request waited for the model.")
                )
        return [job for job in jobs if not job.reply.done()]

    def _learn(self, rows: int, seconds: float) -> None:
        self.cost.observe(rows, seconds)
        self._part_size.ran(rows)

    def _drained(self, rows: int, started: float) -> None:
        """Rows have left the model. Where batches overlap, time counts once."""
        now = self._clock()
        self.drain.observe(rows, now - max(started, self._drained_at))
        self._drained_at = now
        if self._observer is not None:
            self._observer.drained(self.drain.value)

    def _run_inline(self, batch: Batch) -> bool:
        """Predicts on the event loop, which saves two hops between threads. False where the batch needs a second look:
        it runs again the long way, which finds whose rows are at fault."""
        assert self._run_now is not None
        started = self._clock()
        jobs = batch.jobs
        try:
            payload = jobs[0].payload if len(jobs) == 1 else join([job.payload for job in jobs])
            answer, seconds, worked = self._run_now(payload, jobs[0].params)
        except Exception:
            return False
        self._learn(batch.rows, seconds)
        # While another thread loads a model, a batch also waits for the interpreter; it would in a thread of its own,
        # too, so that wait is not counted as a cost of running inline.
        self._inline.observe(batch.rows, min(seconds, worked))
        self._drained(batch.rows, started)
        return self._hand_out(jobs, answer, started, seconds)

    def _hand_out(self, jobs: list[Job], answer: Payload, started: float, seconds: float) -> bool:
        """Gives every job its own rows of a joined answer; False where the answer is not one item for each row."""
        if len(jobs) == 1:
            resolve(jobs[0], Answer(answer, started - jobs[0].enqueued, seconds))
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

    def _start(self, job: Job) -> None:
        """Asks the model one job. No task is needed for that, which for quick models takes as long as they do."""
        started = self._clock()
        try:
            answering = asyncio.ensure_future(self._runner.run(job.payload, job.params))
        except Exception as error:
            fail(job, error)
            return
        self._running.add(answering)
        answering.add_done_callback(partial(self._started_is_done, job, started))

    def _started_is_done(self, job: Job, started: float, answering: asyncio.Future[tuple[Payload, float]]) -> None:
        self._take_answer(job, started, answering)
        self._drained(job.rows, started)
        self._running.discard(answering)
        self._dispatch("freed")

    def _take_answer(self, job: Job, started: float, answering: asyncio.Future[tuple[Payload, float]]) -> None:
        try:
            payload, seconds = answering.result()
        except asyncio.CancelledError:
            fail(job, Closing(_CLOSING))
        except BaseException as error:
            fail(job, error)
        else:
            resolve(job, Answer(payload, started - job.enqueued, seconds))
            self._learn(job.rows, seconds)

    async def _run(self, batch: Batch) -> None:
        started = self._clock()
        try:
            await self._answer(batch.jobs, started)
        except (Exception, asyncio.CancelledError) as error:  # a mistake of ours, or given up: nobody is left waiting
            for job in batch.jobs:
                fail(job, error if isinstance(error, Exception) else Closing(_CLOSING))
        finally:
            self._drained(batch.rows, started)
            task = asyncio.current_task()
            assert task is not None
            self._running.discard(task)
            self._dispatch("freed")

    async def _answer(self, jobs: list[Job], started: float) -> None:
        """Answers every job: together if that works, else in halves, at last one by one."""
        jobs = self._in_time(jobs, self._clock())
        if not jobs:
            return
        if len(jobs) == 1:
            answering = asyncio.ensure_future(self._runner.run(jobs[0].payload, jobs[0].params))
            await asyncio.wait([answering])
            self._take_answer(jobs[0], started, answering)
            return
        try:
            payload, seconds = await self._runner.run(join([job.payload for job in jobs]), jobs[0].params)
        except ModelProcessLost as lost:  # once is enough: rows that kill a process would kill the next one too
            for job in jobs:
                if not job.reply.done():
                    job.reply.set_exception(lost)
            return
        except Exception:  # whose rows are at fault shows when they run apart
            middle = len(jobs) // 2
            for half in (jobs[:middle], jobs[middle:]):
                await self._answer(half, started)
            return
        self._learn(sum(job.rows for job in jobs), seconds)
        if not self._hand_out(jobs, payload, started, seconds):
            self._stop_joining(sum(job.rows for job in jobs), payload)
            for job in jobs:
                await self._answer([job], started)

    def _stop_joining(self, rows: int, answer: Payload) -> None:
        if self.joined:
            self.joined = False
            got = "one value" if isinstance(answer, Value) else repr(answer)  # a value may be anything, of any size
            log.warning("Batching is now off: %d rows gave %s.", rows, got)

    def abandon(self, error: PenstockError) -> None:
        """Refuses what still waits, and waits for nothing that runs."""
        self._refuse(error)
        for running in list(self._running):
            running.cancel()

    async def close(self) -> None:
        """Refuses what still waits, and waits for what runs."""
        self._refuse(Closing(_CLOSING))
        while running := self._running | self._joining:
            await asyncio.wait(running)
        self._thread.shutdown(wait=False)

    def _refuse(self, error: PenstockError) -> None:
        self._closed = True
        for job in self._lanes.clear():
            fail(job, error)

    def __repr__(self) -> str:
        how = "joined" if self.joined else "unjoined"
        return f"<Batcher {how}, {len(self._running)} running, {self._lanes!r}>"


def ahead(runner: Runner, mean: float) -> int:
    """How many more questions than it answers at once a runner is given, where one takes `mean` seconds."""
    return min(runner.ahead, int(_ASK_AHEAD / mean)) if runner.ahead and mean else 0
