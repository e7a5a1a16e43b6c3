"""How large a part is, whose turn it is, and what is put together where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.payload import TEXT, Payload, Table, Tensors, Value
from penstock.serving.batching.cost_model import CostModel
from penstock.serving.batching.large_requests import LargeRequest, LargeRequests, PartSize, joins_quickly
from serving.fakes import tensors, values_of


def learnt(fixed: float, each: float, max_rows: int = 1024) -> PartSize:
    """The size where batches of all sizes have been seen."""
    cost = CostModel()
    size = PartSize(cost, max_rows)
    for rows in (1, 10, 100, max_rows):
        cost.observe(rows, fixed + each * rows)
        size.ran(rows)
    return size


@pytest.mark.parametrize(
    ("fixed", "each", "rows"),
    [
        (0.0, 0.001, 5),
        (0.001, 0.0001, 40),
        (0.0001, 0.000001, 1024),
        (0.0, 1.0, 1),
        (0.02, 0.0001, 200),  # as long again as one row takes anyway
    ],
)
def test_a_part_takes_five_milliseconds_at_most_where_rows_allow_it(fixed: float, each: float, rows: int) -> None:
    assert learnt(fixed, each).rows() == pytest.approx(rows, abs=1)


def test_no_part_has_more_than_twice_the_rows_that_ever_ran() -> None:
    size = PartSize(CostModel(), 1024)
    sizes = []
    for _ in range(9):
        sizes.append(size.rows())
        size.ran(sizes[-1])
    assert sizes == [16, 32, 64, 128, 256, 512, 1024, 1024, 1024]
    assert size.fits(1024)
    assert not size.fits(1025)


def test_one_row_is_never_a_large_request() -> None:
    assert learnt(0.0, 1.0).fits(1)
    assert not learnt(0.0, 1.0).fits(2)


def request(number: int, *values: float) -> LargeRequest:
    made = LargeRequest(tensors(*values), {}, None, 0.0, 1.0, lambda _: None)
    made.number = number
    return made


def taken(requests: LargeRequests, rows: int) -> Any:
    return values_of(requests.take(rows)[1].payload)


def test_large_requests_take_turns() -> None:
    requests = LargeRequests()
    requests.add(request(1, *range(5)))
    requests.add(request(2, 10, 11, 12))
    assert [taken(requests, 2) for _ in range(5)] == [[0, 1], [10, 11], [2, 3], [12], [4]]
    assert len(requests) == 0


def test_parts_and_other_batches_alternate() -> None:
    requests = LargeRequests()
    requests.add(request(1, *range(5)))
    assert [requests.has_turn(others=True) for _ in range(4)] == [False, True, False, True]
    assert [requests.has_turn(others=False) for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    ("payload", "quickly"),
    [
        (Tensors.single(np.zeros(1000)), True),
        (Tensors.single(np.zeros(40_000)), False),
        (Table.of(["a"], [np.array(["x"], dtype=object)]), False),
        (Table.of(["a"], [np.array(["x"], dtype=TEXT)]), False),
        (Value([1]), True),
    ],
)
def test_text_and_large_answers_are_not_put_together_on_the_loop(payload: Payload, quickly: bool) -> None:
    assert joins_quickly([payload]) is quickly
