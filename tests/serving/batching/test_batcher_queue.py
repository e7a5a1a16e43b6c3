"""The batcher's queue: who is let in, who leaves, and what happens to those who wait when it closes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.errors import Closing, Overloaded, PredictError
from penstock.payload import Payload, Value
from serving.asked import answers, ask, batcher_of
from serving.fakes import FakeRunner, Watching, fails_on, settle, tensors, values_of

pytestmark = pytest.mark.usefixtures("no_lost_errors")


class TestAdmission:
    async def test_rows_that_do_not_fit_are_refused(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_queue_rows=5)
        runner.hold()
        tasks = [ask(batcher, 0)]
        await settle()
        tasks += [ask(batcher, 1, 2, 3)]
        await settle()
        with pytest.raises(Overloaded, match="3 rows are waiting; the limit is 5") as caught:
            await batcher.submit(tensors(1, 2, 3), {})
        assert caught.value.retry_after >= 1
        tasks += [ask(batcher, 4, 5)]  # this fits exactly
        await settle()
        runner.release()
        assert await answers(*tasks) == [[0], [1, 2, 3], [4, 5]]

    async def test_an_empty_queue_takes_any_request(self) -> None:
        assert await answers(ask(batcher_of(FakeRunner(), max_queue_rows=2, max_rows=4), *range(9))) == [list(range(9))]

    async def test_rows_of_a_large_request_take_no_room_from_small_ones(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_queue_rows=5, max_rows=4)
        runner.hold()
        tasks = [ask(batcher, *range(40))]
        await settle()
        assert batcher.refusal(5, 1.0) is None
        tasks += [ask(batcher, 100, 101), ask(batcher, 102, 103, 104)]
        await settle()
        with pytest.raises(Overloaded, match="5 rows are waiting; the limit is 5"):
            await batcher.submit(tensors(105), {})
        with pytest.raises(Overloaded, match="36 rows are waiting; the limit is 5"):
            await batcher.submit(tensors(*range(40)), {})
        runner.release()
        assert await answers(*tasks) == [list(range(40)), [100, 101], [102, 103, 104]]

    async def test_rows_of_large_requests_are_told_apart(self) -> None:
        """The queue of small ones is not full because of them."""
        runner, watching = FakeRunner(), Watching()
        batcher = batcher_of(runner, observer=watching, max_queue_rows=5, max_rows=4)
        runner.hold()
        tasks = [ask(batcher, *range(40))]
        await settle()
        tasks += [ask(batcher, 100, 101)]
        await settle()
        assert (watching.waiting[-1], watching.large_waiting[-1]) == (2, 36)
        runner.release()
        await answers(*tasks)
        assert (watching.waiting[-1], watching.large_waiting[-1]) == (0, 0)

    async def test_a_large_request_is_taken_beside_small_ones_that_wait(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_queue_rows=5, max_rows=4)
        runner.hold()
        tasks = [ask(batcher, 0)]
        await settle()
        tasks += [ask(batcher, 1)]
        await settle()
        tasks += [ask(batcher, *range(40))]
        await settle()
        runner.release()
        assert await answers(*tasks) == [[0], [1], list(range(40))]

    async def test_values_have_a_bound_too(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_queue_rows=2)
        runner.hold()
        tasks = []
        for i in range(3):
            tasks.append(asyncio.create_task(batcher.submit(Value(i), {})))
            await settle()
        with pytest.raises(Overloaded):
            await batcher.submit(Value(3), {})
        runner.release()
        assert [a.payload.value for a in await asyncio.gather(*tasks)] == [0, 1, 2]  # type: ignore[union-attr]

    async def test_places_of_refused_and_departed_callers_are_free_again(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_queue_rows=1)
        runner.hold()
        first = ask(batcher, 0)
        await settle()
        gone = ask(batcher, 1)
        await settle()
        gone.cancel()
        runner.release()
        await first
        await settle()
        assert await answers(ask(batcher, 2)) == [[2]]


class TestClosing:
    async def test_closing_refuses_what_waits_and_finishes_what_runs(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_rows=2)
        runner.hold()
        running, waiting, large = ask(batcher, 0), ask(batcher, 1, 1), ask(batcher, *range(5))
        await settle()
        closing = asyncio.create_task(batcher.close())
        await settle()
        assert not closing.done()
        with pytest.raises(Closing):
            await waiting
        with pytest.raises(Closing):
            await large
        with pytest.raises(Closing):
            await batcher.submit(tensors(9), {})
        assert not running.done()
        runner.release()
        await closing
        assert await answers(running) == [[0]]
        assert runner.sizes == [1]

    async def test_closing_is_quick_where_nothing_runs(self) -> None:
        await batcher_of(FakeRunner()).close()


class TestDepartedCallers:
    async def test_a_cancelled_job_never_reaches_the_runner(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner)
        runner.hold()
        first = ask(batcher, 0)
        await settle()
        gone, stays = ask(batcher, 1), ask(batcher, 2)
        await settle()
        gone.cancel()
        await settle()
        runner.release()
        assert await answers(first, stays) == [[0], [2]]
        assert [values_of(c) for c in runner.calls] == [[0], [2]]

    async def test_a_caller_that_leaves_a_running_batch_harms_nobody(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner)
        runner.hold()
        tasks = [ask(batcher, v, v) for v in range(4)]
        await settle()
        tasks[1].cancel()
        await settle()
        runner.release()
        assert await answers(tasks[0], *tasks[2:]) == [[0, 0], [2, 2], [3, 3]]
        assert tasks[1].cancelled()

    async def test_a_caller_that_left_is_not_tried_again_after_a_failure(self) -> None:
        runner = FakeRunner(fails_on(1))
        batcher = batcher_of(runner)
        runner.hold()
        tasks = [ask(batcher, v) for v in range(2)]
        await settle()
        tasks[1].cancel()
        await settle()
        runner.release()
        assert await answers(tasks[0]) == [[0]]
        assert runner.sizes == [2, 1]

    async def test_a_large_request_that_left_stops_after_the_part_at_work(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, max_rows=2)
        runner.hold()
        task = ask(batcher, *range(10))
        await settle()
        task.cancel()
        await settle()
        runner.release()
        await settle()
        assert runner.sizes == [2]
        assert repr(batcher) == "<Batcher joined, 0 running, <Lanes 0 jobs, 0 rows in 0 lanes>>"

    async def test_leaving_at_the_moment_of_the_answer_is_silent(self) -> None:
        runner = FakeRunner(fails_on(1))
        batcher = batcher_of(runner)
        runner.hold()
        task = ask(batcher, 1)
        await settle()
        runner.release()
        for _ in range(10):  # at every turn of the loop until it is over
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises((asyncio.CancelledError, PredictError)):
            await task


class TestUnjoined:
    async def test_as_many_run_at_once_as_there_are_slots(self) -> None:
        runner, watching = FakeRunner(slots=3), Watching()
        batcher = batcher_of(runner, joined=False, observer=watching)
        runner.hold()
        tasks = [ask(batcher, v) for v in range(5)]
        await settle()
        assert runner.sizes == [1, 1, 1]
        runner.release()
        assert await answers(*tasks) == [[v] for v in range(5)]
        assert runner.most_at_once == 3
        assert watching.batches == [(1, 1, "alone")] * 5

    async def test_one_slot_serialises(self) -> None:
        runner = FakeRunner(slots=1)
        batcher = batcher_of(runner, joined=False)
        assert await answers(*(ask(batcher, v) for v in range(4))) == [[v] for v in range(4)]
        assert runner.most_at_once == 1

    @pytest.mark.parametrize(("seconds", "most"), [(0.0005, 5), (0.0015, 4), (0.01, 2)])
    async def test_a_quick_model_in_another_process_is_asked_ahead(self, seconds: float, most: int) -> None:
        """With what it will have answered within 4 ms, and no more than it takes."""
        runner = FakeRunner(slots=2, ahead=3, seconds=seconds)
        batcher = batcher_of(runner, joined=False)
        assert await answers(ask(batcher, 0)) == [[0]]  # nothing is known before
        runner.hold()
        tasks = [ask(batcher, n) for n in range(8)]
        await settle()
        assert runner.running == most
        runner.release()
        assert await answers(*tasks) == [[n] for n in range(8)]
        assert [values_of(call)[0] for call in runner.calls] == [0, *range(8)]
        assert runner.most_at_once == most

    async def test_a_runner_that_refuses_at_once_fails_its_sender_and_goes_on(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, joined=False)

        def refuse(payload: Payload, params: Any) -> Any:
            raise PredictError("No.")

        runner.run, run = refuse, runner.run  # type: ignore[method-assign]
        assert await answers(ask(batcher, 1), ask(batcher, 2)) == ["No.", "No."]
        runner.run = run  # type: ignore[method-assign]
        assert await answers(ask(batcher, 3)) == [[3]]

    async def test_a_runner_that_gives_up_its_calls_fails_their_senders(self) -> None:
        runner = FakeRunner()
        batcher = batcher_of(runner, joined=False)
        given_up: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        given_up.cancel()
        runner.run = lambda payload, params: given_up  # type: ignore[assignment,method-assign,return-value]
        assert await answers(ask(batcher, 1)) == ["This version is being closed."]

    async def test_a_failure_reaches_its_sender_alone(self) -> None:
        batcher = batcher_of(FakeRunner(fails_on(1), slots=2), joined=False)
        assert await answers(*(ask(batcher, v) for v in range(3))) == [[0], "bad rows [1.0]", [2]]
