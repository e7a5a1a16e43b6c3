"""Whose turn it is, and what is put together where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.payload import TEXT, Payload, Table, Tensors, Value
from penstock.serving.batching.large_requests import LargeRequest, LargeRequests, joins_quickly
from serving.fakes import tensors, values_of


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
    assert (len(requests.waiting), requests.rows) == (0, 0)


def test_the_rows_of_large_requests_are_those_that_were_not_given_out() -> None:
    requests = LargeRequests()
    for number in (1, 2, 3):
        requests.add(request(number, *range(5)))
    requests.take(2)
    assert requests.rows == 13
    requests.remove(2)
    assert requests.remove(2) is None
    assert requests.rows == 8
    requests.take_whole()  # the third, since the first has had its turn
    assert requests.rows == 3
    requests.clear()
    assert requests.rows == 0


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
