"""Batching while busy: who is answered with what, when, and together with whom."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from penstock.errors import DeadlineExceeded, PenstockError, PredictError
from penstock.payload import Payload, Table, Tensors, Value
from penstock.serving.batching.batcher import Batcher
from penstock.serving.batching.jobs import put_together
from serving.asked import answers, ask, batcher_of
from serving.fakes import FakeRunner, Watching, fails_on, settle, tensors, values_of

pytestmark = pytest.mark.usefixtures("no_lost_errors")


class TestWhileBusy:
    async def test_an_idle_runner_gets_what_is_there_at_the_end_of_the_tick(self) -> None:
        runner, watching = FakeRunner(), Watching()
        batcher = batcher_of(runner, observer=watching)
        assert await answers(ask(batcher, 1), ask(batcher, 2, 3), ask(batcher, 4)) == [[1], [2, 3], [4]]
        assert watching.batches == [(3, 4, "idle")]

    async def test_a_lone_request_waits_for_nobody(self) -> None:
        runner = FakeRunner()
        task = ask(batcher_of(runner), 1)
        await settle(3)  # its own start, the end of the tick, the batch's task
        assert runner.sizes == [1]
        assert await answers(task) == [[1]]

    async def test_what_arrives_while_the_runner_works_is_one_next_batch(self) -> None:
        runner, watching = FakeRunner(), Watching()
        batcher = batcher_of(runner, observer=watching)
        runner.hold()
        first = ask(batcher, 0)
        await settle()
        later = []
        for value in range(1, 6):
            later.append(ask(batcher, value))
            await settle()  # each in a tick of its own
        assert runner.sizes == [1]
        assert repr(batcher) == "<Batcher joined, 1 running, <Lanes 5 jobs, 5 rows in 1 lanes>>"
        runner.release()
        assert await answers(first, *later) == [[v] for v in range(6)]
        assert watching.batches == [(1, 1, "idle"), (5, 5, "freed")]
        assert max(watching.waiting) == 5
        assert watching.waiting[-1] == 0

    async def test_max_rows_cuts_the_next_batch(self) -> None:
        runner, watching = FakeRunner(), Watching()
        batcher = batcher_of(runner, observer=watching, max_rows=4)
        runner.hold()
        tasks = [ask(batcher, 0)]
        await settle()
        tasks += [ask(batcher, v, v) for v in range(1, 6)]
        await settle()
        runner.release()
        assert await answers(*tasks) == [[0], *([v, v] for v in range(1, 6))]
        assert watching.batches == [(1, 1, "idle"), (2, 4, "full"), (2, 4, "full"), (1, 2, "freed")]

    async def test_other_layouts_and_params_are_other_batches(self) -> None:
        seen: list[Mapping[str, Any]] = []

        def note(payload: Payload, params: Mapping[str, Any]) -> Payload:
            seen.append(params)
            return payload

        runner = FakeRunner(note)
        batcher = batcher_of(runner)
        tasks = [ask(batcher, 1), ask(batcher, 2, width=2), ask(batcher, 3, t=1), ask(batcher, 4), ask(batcher, 5, t=1)]
        assert await answers(*tasks) == [[1], [2], [3], [4], [5]]
        assert runner.sizes == [2, 1, 2]
        assert seen == [{}, {}, {"t": 1}]

    async def test_seconds_are_measured_on_the_given_clock(self) -> None:
        now = 100.0
        runner = FakeRunner()
        batcher = batcher_of(runner, clock=lambda: now)
        runner.hold()
        first = ask(batcher, 0)
        await settle()
        second = ask(batcher, 1)
        await settle()
        now = 103.5
        runner.release()
        assert (await first).queue == 0
        assert (await second).queue == 3.5
        assert (await second).predict == 0.001

    async def test_tables_come_back_as_tables(self) -> None:
        batcher = batcher_of(FakeRunner())
        tables = [Table(("a", "b"), block=np.full((n, 2), float(n))) for n in (1, 2, 3)]
        found = await asyncio.gather(*(batcher.submit(t, {}) for t in tables))
        for answer, table in zip(found, tables, strict=True):
            assert isinstance(answer.payload, Table)
            assert answer.payload.names == ("a", "b")
            assert answer.payload.block is not None
            assert table.block is not None
            assert np.array_equal(answer.payload.block, table.block)


class TestFailures:
    async def test_a_bad_row_fails_its_sender_alone_with_its_own_error(self) -> None:
        runner = FakeRunner(fails_on(3, 6))
        batcher = batcher_of(runner)
        tasks = [ask(batcher, v) for v in range(8)]
        expected: list[Any] = [[v] for v in range(8)]
        expected[3], expected[6] = "bad rows [3.0]", "bad rows [6.0]"
        assert await answers(*tasks) == expected
        # Halves: 8, then 4 + 2 + 1 + 1 for the first half, and so on; far from one call for each.
        assert runner.sizes == [8, 4, 2, 2, 1, 1, 4, 2, 2, 1, 1]
        assert batcher.joined

    async def test_one_job_that_fails_is_tried_once(self) -> None:
        runner = FakeRunner(fails_on(1))
        batcher = batcher_of(runner)
        assert await answers(ask(batcher, 1, 2)) == ["bad rows [1.0]"]
        assert runner.sizes == [2]

    async def test_work_goes_on_after_a_failure(self) -> None:
        runner = FakeRunner(fails_on(1))
        batcher = batcher_of(runner)
        runner.hold()
        tasks = [ask(batcher, 1)]
        await settle()
        tasks.append(ask(batcher, 2))
        await settle()
        runner.release()
        assert await answers(*tasks) == ["bad rows [1.0]", [2]]

    async def test_a_foreign_error_becomes_ours_and_keeps_its_cause(self, caplog: pytest.LogCaptureFixture) -> None:
        def broken(payload: Payload, params: Mapping[str, Any]) -> Payload:
            raise RuntimeError("secret detail")

        with pytest.raises(PenstockError, match=r"inside the gateway \(RuntimeError\)") as caught:
            await ask(batcher_of(FakeRunner(broken)), 1)
        assert not isinstance(caught.value, PredictError)
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert "secret detail" in caplog.text

    async def test_a_layout_that_cannot_be_joined_after_all_is_answered_apart(self) -> None:
        class Stubborn(Tensors):
            layout = "all the same"

        runner = FakeRunner()
        batcher = batcher_of(runner)
        payloads = [Stubborn(None, (np.zeros((1, width)),)) for width in (1, 2)]
        found = await asyncio.gather(*(batcher.submit(p, {}) for p in payloads))
        assert [f.payload for f in found] == payloads


class TestWrongRowCount:
    @pytest.mark.parametrize("wrong", [Value([1, 2]), tensors(1.0), Tensors.single(np.array(1.0))])
    async def test_a_wrong_row_count_ends_joining_and_the_jobs_are_answered_apart(
        self, wrong: Payload, caplog: pytest.LogCaptureFixture
    ) -> None:
        def sums(payload: Payload, params: Mapping[str, Any]) -> Payload:
            return payload if payload.rows == 1 else wrong

        runner, watching = FakeRunner(sums), Watching()
        batcher = batcher_of(runner, observer=watching)
        assert await answers(ask(batcher, 1), ask(batcher, 2), ask(batcher, 3)) == [[1], [2], [3]]
        assert runner.sizes == [3, 1, 1, 1]
        assert not batcher.joined
        assert [r.levelno for r in caplog.records] == [logging.WARNING]
        assert "Batching is now off: 3 rows gave" in caplog.text
        assert await answers(ask(batcher, 4), ask(batcher, 5)) == [[4], [5]]
        assert watching.batches[1:] == [(1, 1, "alone"), (1, 1, "alone")]
        assert repr(batcher) == "<Batcher unjoined, 0 running, <Lanes 0 jobs, 0 rows in 0 lanes>>"

    async def test_the_log_never_holds_the_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        batcher = batcher_of(FakeRunner(lambda payload, params: Value(["a caller's secret"])))
        await asyncio.gather(ask(batcher, 1), ask(batcher, 2))
        assert "secret" not in caplog.text

    async def test_one_job_alone_may_answer_what_it_likes(self) -> None:
        batcher = batcher_of(FakeRunner(lambda payload, params: Value("one")))
        assert (await ask(batcher, 1, 2, 3)).payload.value == "one"  # type: ignore[union-attr]
        assert batcher.joined


class TestLargeRequests:
    async def test_a_large_request_is_split_and_put_together_in_order(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_rows=4)
        assert await answers(ask(batcher, *range(10))) == [list(range(10))]
        assert runner.sizes == [4, 4, 2]

    async def test_small_requests_go_between_the_parts_of_a_large_one(self) -> None:
        runner = FakeRunner()
        runner.hold()
        batcher = batcher_of(runner, max_rows=4)
        large = asyncio.ensure_future(ask(batcher, *range(20)))
        await settle()
        small = [asyncio.ensure_future(ask(batcher, 100 + i)) for i in range(6)]
        await settle()
        runner.release()
        assert await answers(large, *small) == [list(range(20)), *([100 + i] for i in range(6))]
        assert [values_of(call) for call in runner.calls] == [
            [0, 1, 2, 3],
            [100, 101, 102, 103],
            [4, 5, 6, 7],
            [104, 105],
            [8, 9, 10, 11],
            [12, 13, 14, 15],
            [16, 17, 18, 19],
        ]

    async def test_parts_take_no_longer_than_five_milliseconds_once_their_cost_is_known(self) -> None:
        runner = FakeRunner()

        def slow(payload: Payload, params: Mapping[str, Any]) -> Payload:
            runner.seconds = 0.001 * (payload.rows or 0)
            return payload

        runner.function = slow
        batcher = batcher_of(runner)
        assert await answers(ask(batcher, *range(200))) == [list(range(200))]
        assert runner.sizes[0] == 16
        assert all(4 <= (size or 0) <= 5 for size in runner.sizes[1:-1])

    async def test_what_waits_of_a_large_request_is_one_job_however_large_it_is(self) -> None:
        runner = FakeRunner()
        runner.hold()
        batcher = batcher_of(runner, max_rows=4)
        reply = batcher.enqueue(tensors(*range(4000)), {})
        await settle()
        assert repr(batcher) == "<Batcher joined, 1 running, <Lanes 1 jobs, 3996 rows in 0 lanes, 1 large>>"
        reply.cancel()
        assert (batcher._lanes.rows, batcher._lanes.jobs) == (0, 0)
        runner.release()
        await settle()
        assert runner.sizes == [4]

    async def test_a_deadline_inside_a_large_request_drops_the_rest(self) -> None:
        now = 0.0
        runner = FakeRunner()
        runner.hold()
        batcher = Batcher(runner, joined=True, max_rows=2, clock=lambda: now)
        reply = batcher.enqueue(tensors(*range(10)), {}, 1.0)
        await settle()
        now = 2.0
        runner.release()
        with pytest.raises(DeadlineExceeded):
            await reply
        assert (runner.sizes, batcher._lanes.rows) == ([2], 0)

    async def test_large_answers_are_put_together_off_the_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        threads = []

        def noting(answers: list[Any]) -> Any:
            threads.append(threading.current_thread())
            return put_together(answers)

        monkeypatch.setattr("penstock.serving.batching.batcher.put_together", noting)
        batcher = batcher_of(FakeRunner(), max_rows=20_000)
        values = [float(i) for i in range(40_000)]
        assert values_of((await batcher.submit(tensors(*values), {})).payload) == values
        assert values_of((await batcher.submit(tensors(*values[:20_001]), {})).payload) == values[:20_001]
        assert [thread is threading.main_thread() for thread in threads] == [False, True]
        await batcher.close()

    async def test_seconds_of_all_parts_add_up(self) -> None:
        answer = await ask(batcher_of(FakeRunner(), max_rows=2), *range(6))
        assert answer.predict == pytest.approx(0.003)

    async def test_a_bad_part_fails_the_whole_once_and_the_rest_is_not_computed(self) -> None:
        runner = FakeRunner(fails_on(1))
        batcher = batcher_of(runner, max_rows=2)
        assert await answers(ask(batcher, *range(10))) == ["bad rows [1.0]"]
        await settle()
        assert runner.sizes in ([2], [2, 2])  # one more may have begun before the caller heard

    async def test_every_part_may_fail(self) -> None:
        batcher = batcher_of(FakeRunner(fails_on(*range(10))), max_rows=2)
        assert await answers(ask(batcher, *range(10))) == ["bad rows [0.0, 1.0]"]

    async def test_parts_whose_answers_do_not_match_are_predicted_whole(self, caplog: pytest.LogCaptureFixture) -> None:
        def total(payload: Payload, params: Mapping[str, Any]) -> Payload:
            return tensors(sum(values_of(payload)))

        runner = FakeRunner(total)
        batcher = batcher_of(runner, max_rows=2)
        assert await answers(ask(batcher, 1, 2, 3, 4, 5)) == [[15]]
        assert not batcher.joined
        assert "2 rows gave" in caplog.text
        assert await answers(ask(batcher, 1, 2, 3, 4)) == [[10]]
        assert runner.sizes[-1] == 4

    async def test_parts_whose_answers_do_not_fit_together_are_an_error(self) -> None:
        def named_by_content(payload: Payload, params: Mapping[str, Any]) -> Payload:
            return Tensors.named({f"y{values_of(payload)[0]:g}": np.zeros(payload.rows or 0)})

        batcher = batcher_of(FakeRunner(named_by_content), max_rows=2)
        with pytest.raises(PredictError, match="cannot be combined"):
            await ask(batcher, 1, 2, 3)

    async def test_a_value_and_an_unjoined_request_are_never_split(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_rows=2, joined=False)
        assert await answers(ask(batcher, 1, 2, 3)) == [[1, 2, 3]]
        value = Value(list(range(9)))
        assert (await batcher_of(runner, max_rows=2).submit(value, {})).payload is value
        assert runner.calls[1] is value
