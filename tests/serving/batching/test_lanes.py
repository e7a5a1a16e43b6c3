"""Which jobs go together next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.payload import Payload, Table, Tensors, Value
from penstock.serving.batching.jobs import Job
from penstock.serving.batching.lanes import Batch, Lanes
from serving.fakes import tensors


def job(payload: Payload | int, params: Mapping[str, Any] | None = None) -> Job:
    """A job of some payload, or of that many rows."""
    return Job(tensors(*range(payload)) if isinstance(payload, int) else payload, params or {}, None, 0.0)


def leave(lanes: Lanes, *jobs: Job) -> None:
    for one in jobs:
        assert lanes.remove(one.lane, one.number)


def lanes_of(*jobs: Job) -> Lanes:
    lanes = Lanes()
    for one in jobs:
        lanes.add(one)
    return lanes


def take(lanes: Lanes, max_rows: int = 10, *, joined: bool = True) -> Batch | None:
    return lanes.take(max_rows, "freed", joined=joined)


def drained(lanes: Lanes, max_rows: int = 10, *, joined: bool = True) -> list[list[Job]]:
    batches = []
    while (batch := take(lanes, max_rows, joined=joined)) is not None:
        batches.append(batch.jobs)
    return batches


def test_nothing_waiting_is_no_batch() -> None:
    assert take(Lanes()) is None


def test_equal_layouts_go_together_in_order_of_arrival() -> None:
    jobs = [job(2), job(3), job(1)]
    batch = take(lanes_of(*jobs))
    assert batch == Batch(jobs, 6, "freed")


def test_a_batch_is_cut_at_max_rows_and_says_so() -> None:
    a, b, c = job(4), job(4), job(4)
    lanes = lanes_of(a, b, c)
    assert take(lanes) == Batch([a, b], 8, "full")
    assert take(lanes) == Batch([c], 4, "freed")
    assert lanes.rows == 0


def test_a_batch_of_exactly_max_rows_is_full() -> None:
    a, b = job(4), job(6)
    assert take(lanes_of(a, b)) == Batch([a, b], 10, "full")


def test_a_job_over_the_limit_goes_by_itself() -> None:
    a, big, b = job(1), job(11), job(1)
    assert drained(lanes_of(a, big, b)) == [[a], [big], [b]]


def test_the_oldest_head_goes_first_whatever_its_layout() -> None:
    a1, b1, a2, b2 = job(6), job(tensors(1.0, width=2)), job(6), job(tensors(2.0, width=2))
    assert drained(lanes_of(a1, b1, a2, b2)) == [[a1], [b1, b2], [a2]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tensors(1.0), tensors(1.0, width=2)),
        (tensors(1.0), tensors(1.0, dtype=np.float32)),
        (tensors(1.0), Tensors.named({"x": np.ones((1, 1))})),
        (Tensors.named({"x": np.ones((1, 1))}), Tensors.named({"y": np.ones((1, 1))})),
        (tensors(1.0), Table(None, block=np.ones((1, 1)))),
        (Table(("a",), block=np.ones((1, 1))), Table(("b",), block=np.ones((1, 1)))),
        (Table(("a",), block=np.ones((1, 1))), Table((0,), block=np.ones((1, 1)))),
        (Table(("a",), block=np.ones((1, 1))), Table(("a",), block=np.ones((1, 1)), index=np.arange(1))),
    ],
)
def test_layouts_are_never_mixed(one: Payload, other: Payload) -> None:
    a, b = job(one), job(other)
    assert drained(lanes_of(a, b)) == [[a], [b]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"t": 1.0}, {"t": 2.0}),
        ({"t": 1}, {"t": 1.0}),
        ({"t": 1}, {"t": True}),
        ({"t": float("nan")}, {"t": None}),
        ({"t": float("inf")}, {"t": None}),
        ({"t": float("inf")}, {"t": float("-inf")}),
        ({"t": "1"}, {"t": 1}),
        ({}, {"t": None}),
        ({"t": [1, 2]}, {"t": [2, 1]}),
    ],
)
def test_params_are_never_mixed(one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = job(1, one), job(1, other)
    assert drained(lanes_of(a, b)) == [[a], [b]]


def test_equal_params_in_another_order_go_together() -> None:
    a, b = job(1, {"x": 1, "y": [2.5, None]}), job(1, {"y": [2.5, None], "x": 1})
    assert drained(lanes_of(a, b)) == [[a, b]]


def test_any_param_has_a_key() -> None:
    a, b = job(1, {"big": 2**80, "text": "ü\x00"}), job(1, {"big": 2**80, "text": "ü\x00"})
    assert drained(lanes_of(a, b)) == [[a, b]]


@pytest.mark.parametrize("payload", [Value({"a": 1}), Value([1, 2]), tensors(), Tensors.single(np.array(1.0))])
def test_jobs_without_rows_go_alone_and_take_room_in_the_queue(payload: Payload) -> None:
    a, b, c = job(payload), job(payload), job(2)
    lanes = lanes_of(a, b, c)
    assert lanes.rows == 4
    assert take(lanes) == Batch([a], 0, "alone")
    assert drained(lanes) == [[b], [c]]
    assert lanes.rows == 0


def test_unjoined_jobs_go_one_by_one_in_order_of_arrival() -> None:
    a, b, c = job(1), job(tensors(1.0, width=3)), job(1)
    lanes = lanes_of(a, b, c)
    assert take(lanes, joined=False) == Batch([a], 1, "alone")
    assert drained(lanes, joined=False) == [[b], [c]]


def test_departed_jobs_are_gone_at_once_and_do_not_end_a_batch() -> None:
    a, gone, b, last = job(1), job(100), job(1), job(5)
    lanes = lanes_of(a, gone, b, last)
    leave(lanes, gone, last)
    assert (lanes.rows, lanes.jobs) == (2, 2)
    assert not lanes.remove(gone.lane, gone.number), "it left twice"
    assert take(lanes) == Batch([a, b], 2, "freed")
    assert lanes.rows == 0
    assert repr(lanes) == "<Lanes 0 jobs, 0 rows in 0 lanes>"


def test_a_lane_of_departed_jobs_alone_gives_way_to_the_next() -> None:
    gone, b = job(1), job(tensors(1.0, width=2))
    lanes = lanes_of(gone, b)
    leave(lanes, gone)
    assert drained(lanes) == [[b]]
    assert take(lanes) is None


def test_a_departed_head_leaves_its_place_to_nobody() -> None:
    gone, b, a = job(1), job(tensors(1.0, width=2)), job(1)
    lanes = lanes_of(gone, b, a)
    leave(lanes, gone)
    assert drained(lanes) == [[b], [a]]


def test_a_job_that_runs_does_not_wait_any_more() -> None:
    a, b = job(1), job(1)
    lanes = lanes_of(a, b)
    assert take(lanes) == Batch([a, b], 2, "freed")
    assert not lanes.remove(a.lane, a.number)
    assert (lanes.rows, lanes.jobs) == (0, 0)


def test_lanes_that_come_and_go_leave_nothing_behind() -> None:
    lanes = lanes_of(first := job(1))
    for number in range(10_000):
        lanes.add(passing := job(1, {"t": number}))
        leave(lanes, passing)
    assert len(lanes._heads) < 200
    assert drained(lanes) == [[first]]


def test_the_earliest_deadline_is_the_batches() -> None:
    a, b = job(1), job(2)
    a.deadline, b.deadline = 5.0, 3.0
    batch = Batch([a, b], 3, "idle")
    assert batch.deadline == 3.0
    assert batch.of([a]) == Batch([a], 1, "idle")


def test_clear_returns_who_still_waits_and_leaves_nothing() -> None:
    a, gone, b = job(1), job(1), job(Value(1))
    lanes = lanes_of(a, gone, b)
    leave(lanes, gone)
    assert lanes.clear() == [a, b]
    assert (lanes.rows, take(lanes)) == (0, None)
    lanes.add(late := job(1))
    assert drained(lanes) == [[late]]


def test_lanes_describe_themselves() -> None:
    assert repr(lanes_of(job(3), job(2), job(Value(1)))) == "<Lanes 3 jobs, 6 rows in 2 lanes>"
    assert repr(job(3)) == "<Job 0: 3 rows>"


class LanesMachine(RuleBasedStateMachine):
    """Against a model: a plain list of who waits, in order of arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.waiting: list[Job] = []

    @rule(rows=st.integers(1, 6), width=st.integers(1, 2), temperature=st.sampled_from([None, 1.0, 2.0]))
    def arrive(self, rows: int, width: int, temperature: float | None) -> None:
        params = {} if temperature is None else {"t": temperature}
        self._add(job(tensors(*range(rows), width=width), params))

    @rule(payload=st.sampled_from([Value(1), tensors(), Tensors.named({"a": np.ones(2), "b": np.ones(3)})]))
    def arrive_without_rows(self, payload: Payload) -> None:
        self._add(job(payload))

    def _add(self, one: Job) -> None:
        self.lanes.add(one)
        self.waiting.append(one)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.waiting))
        leave(self.lanes, gone)
        self.waiting.remove(gone)

    @rule(max_rows=st.integers(1, 12), joined=st.booleans())
    def take(self, max_rows: int, joined: bool) -> None:
        batch = self.lanes.take(max_rows, "idle", joined=joined)
        if batch is None:
            assert not self.waiting
            return
        head = self.waiting[0]
        mates = [j for j in self.waiting if j.lane == head.lane]
        assert batch.jobs == mates[: len(batch.jobs)], "not the oldest head, or out of order, or a departed one"
        assert batch.rows == sum(j.rows for j in batch.jobs)
        assert batch.rows <= max_rows or len(batch.jobs) == 1
        left = mates[len(batch.jobs) :]
        if not joined or not head.rows:
            assert (len(batch.jobs), batch.reason) == (1, "alone")
        else:
            assert not left or batch.rows + left[0].rows > max_rows, "more would have fitted"
            assert batch.reason == ("full" if left or batch.rows >= max_rows else "idle")
        self.waiting = [j for j in self.waiting if j not in batch.jobs]

    @rule()
    def clear(self) -> None:
        assert sorted(self.lanes.clear(), key=lambda j: j.number) == self.waiting
        self.waiting = []

    @invariant()
    def rows_are_right(self) -> None:
        assert (self.lanes.rows, self.lanes.jobs) == (sum(j.room for j in self.waiting), len(self.waiting))


LanesMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None, derandomize=True)
TestLanesMachine = LanesMachine.TestCase
