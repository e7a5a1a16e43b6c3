"""When a server has borne a hostile body."""

from __future__ import annotations

from dataclasses import replace

import pytest
from body_verdict import Bounds, Seen, line, summary

BOUNDS = Bounds.of(max_body=1_000_000, timeout=10.0)
HELD = Seen(
    kind="csv", name="quotes", model="iris", bytes=9, status="400", stall=0.01, good=0.02, growth=1_000_000,
    seconds=0.5, good_after=200, answered=True,
)  # fmt: skip


def test_the_budget_of_memory_follows_the_limit_of_a_body() -> None:
    assert BOUNDS.growth == 64_000_000 + 12_000_000


def test_a_refusal_in_time_holds() -> None:
    assert HELD.faults(BOUNDS) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"stall": 0.101}, "stall 101 ms"),
        ({"growth": 77_000_000}, "memory 77 MB"),
        ({"seconds": 11.5}, "answer after 11.5 s"),
        ({"status": "none"}, "no answer"),
        ({"status": "500"}, "500"),
        ({"good_after": 503}, "a good request afterwards: 503"),
        ({"good_after": 0}, "a good request afterwards: no answer"),
        ({"status": "died", "stall": 3.0}, "died"),
        ({"status": "wedged", "stall": 40.0}, "wedged"),
    ],
)
def test_each_bound_has_a_fault_of_its_own(change: dict[str, object], fault: str) -> None:
    assert replace(HELD, **change).faults(BOUNDS) == [fault]


def test_no_answer_is_no_fault_where_none_is_due() -> None:
    assert replace(HELD, status="none", answered=False).faults(BOUNDS) == []


def test_the_summary_counts_what_held_of_each_kind() -> None:
    records = [HELD, replace(HELD, status="died"), replace(HELD, kind="arrow")]
    assert summary(records, BOUNDS).splitlines()[1:] == [
        "  csv               1 of 2",
        "  arrow             1 of 1",
        "2 of 3 held",
    ]
    assert line(records[1], BOUNDS).endswith("died")
