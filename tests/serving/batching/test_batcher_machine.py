"""The batcher against a model of it: callers come, leave, and run out of time at any moment, on a given clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.errors import DeadlineExceeded, Overloaded
from penstock.serving.batching.batcher import Batcher
from penstock.serving.batching.jobs import Answer
from serving.fakes import FakeRunner, settle, tensors, values_of

MAX_ROWS, MAX_QUEUE_ROWS = 8, 20
APART = 1000  # a caller's values begin at its number times this


@dataclass
class Caller:
    rows: list[float]
    deadline: float
    answer: asyncio.Future[Answer]
    gone: bool = False  # it left, or its timer took it out


class BatcherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.lost: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.lost.append(context))
        self.now = 0.0
        self.callers: list[Caller] = []
        self.seen = 0

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(joined=st.booleans(), slots=st.integers(1, 3))
    def begin(self, joined: bool, slots: int) -> None:
        async def make() -> None:
            self.runner = FakeRunner(slots=slots)
            self.runner.hold()
            self.batcher = Batcher(
                self.runner, joined=joined, max_rows=MAX_ROWS, max_queue_rows=MAX_QUEUE_ROWS, clock=lambda: self.now
            )

        self._do(make())

    @rule(
        rows=st.integers(1, 30), width=st.integers(1, 2), time_left=st.sampled_from([inf, 1.0, 3.0]), soon=st.booleans()
    )
    def arrive(self, rows: int, width: int, time_left: float, soon: bool) -> None:
        values = [float(len(self.callers) * APART + i) for i in range(rows)]

        async def ask() -> None:
            lanes = self.batcher._lanes
            large = rows > 1 and self.batcher.joined and not self.batcher._part_size.fits(rows)
            waiting, before = lanes.large.rows if large else lanes.rows - lanes.large.rows, lanes.rows
            fits = not waiting or waiting + rows <= MAX_QUEUE_ROWS
            payload = tensors(*values, width=width)
            if not fits:
                with pytest.raises(Overloaded) as refusal:
                    self.batcher.enqueue(payload, {}, self.now + time_left)
                assert (refusal.value.limit, lanes.rows) == ("rows", before)
                assert refusal.value.retry_after >= 1
                return
            answer = self.batcher.enqueue(payload, {}, self.now + time_left)
            assert lanes.rows == before + rows
            self.callers.append(Caller(values, self.now + time_left, answer))
            if not soon:
                await settle()

        self._do(ask())

    @precondition(lambda self: any(not c.answer.done() for c in self.callers))
    @rule(data=st.data(), soon=st.booleans())
    def leave(self, data: st.DataObject, soon: bool) -> None:
        caller = data.draw(st.sampled_from([c for c in self.callers if not c.answer.done()]))
        self._drop([caller], soon)

    @rule(seconds=st.floats(0.1, 2), timers=st.booleans())
    def time_passes(self, seconds: float, timers: bool) -> None:
        """With the timers of those who run out of time, or with a loop that is too busy for them. What the model was
        given a moment ago reaches it first."""
        self._do(asyncio.sleep(0))
        self.now += seconds
        if timers:
            self._drop([c for c in self.callers if c.deadline <= self.now and not c.answer.done()], False)

    def _drop(self, callers: list[Caller], soon: bool) -> None:
        async def drop() -> None:
            for caller in callers:
                caller.gone = True
                caller.answer.cancel()
            if not soon:
                await settle()
                waiting = {v // APART for j in self._waiting() for v in values_of(j.payload)}
                assert not waiting & {c.rows[0] // APART for c in callers}, "their rows still take up the queue"

        self._do(drop())

    @rule(turns=st.integers(1, 8))
    def the_model_works(self, turns: int) -> None:
        async def work() -> None:
            self.runner.release()
            await settle(turns)
            self.runner.hold()
            await settle()

        self._do(work())

    @rule()
    def the_loop_turns(self) -> None:
        self._do(settle())

    def _waiting(self) -> list[Any]:
        lanes = self.batcher._lanes
        small = [job for lane in lanes._lanes.values() for job in lane.jobs.values()]
        return small + list(lanes.large.waiting.values())

    @invariant()
    def rows_are_accounted_for(self) -> None:
        if not hasattr(self, "batcher"):
            return
        jobs, large = self._waiting(), self.batcher._lanes.large.rows
        assert self.batcher._lanes.rows == sum(job.room for job in jobs)
        assert large == sum(job.room for job in jobs if job.large)
        assert not any(job.reply.done() for job in jobs)
        for rows, are_large in ((large, True), (self.batcher._lanes.rows - large, False)):
            owners = {values_of(job.payload)[0] // APART for job in jobs if job.large is are_large}
            assert rows <= MAX_QUEUE_ROWS or len(owners) == 1, "more wait than may"

    @invariant()
    def nobody_is_worked_for_in_vain(self) -> None:
        if not hasattr(self, "batcher"):
            return
        for call in self.runner.calls[self.seen :]:
            for number in {int(v // APART) for v in values_of(call)}:
                caller = self.callers[number]
                assert caller.deadline > self.now, "late when it began"
                failed = caller.answer.done() and not caller.gone and caller.answer.exception() is not None
                assert not failed
        self.seen = len(self.runner.calls)

    @invariant()
    def answers_are_their_callers(self) -> None:
        for caller in self.callers:
            if not caller.answer.done():
                continue
            if caller.answer.cancelled():
                assert caller.gone
            elif isinstance(error := caller.answer.exception(), DeadlineExceeded):
                assert caller.deadline <= self.now
            else:
                assert error is None
                assert values_of(caller.answer.result().payload) == caller.rows

    def teardown(self) -> None:
        if hasattr(self, "batcher"):

            async def finish() -> None:
                self.runner.release()
                for _ in range(100):
                    await settle()
                assert all(c.answer.done() for c in self.callers), "somebody was forgotten"
                assert repr(self.batcher._lanes) == "<Lanes 0 jobs, 0 rows in 0 lanes>"
                await self.batcher.close()

            self._do(finish())
            self.answers_are_their_callers()
        self.loop.close()
        assert self.lost == []


BatcherMachine.TestCase.settings = settings(
    max_examples=50, stateful_step_count=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestBatcherMachine = BatcherMachine.TestCase
