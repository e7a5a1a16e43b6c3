"""When a process that ended starts again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.machine.restart_policy import (
    MAX_CRASHES,
    MAX_DELAY,
    Restart,
    crashes_in_a_row,
    next_restart,
    restart_delay,
)


@pytest.mark.parametrize(
    ("before", "served", "now"), [(0, 0.0, 1), (0, 3600.0, 1), (1, 5.0, 2), (7, 59.9, 8), (7, 60.0, 1), (7, 0.0, 8)]
)
def test_crashes_in_a_row_are_counted_from_the_last_long_life(before: int, served: float, now: int) -> None:
    assert crashes_in_a_row(before, served) == now


def test_delays_grow_to_a_limit() -> None:
    assert [restart_delay(n, 0.999999) for n in range(1, 9)] == pytest.approx([0, 1, 2, 4, 8, 16, 30, 30], rel=1e-3)
    assert restart_delay(4, 0.0) == 2.0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_restart_always_comes_in_bounded_time(crashes: int, chance: float) -> None:
    assert 0 <= restart_delay(crashes, chance) <= MAX_DELAY
    assert crashes == 1 or restart_delay(crashes, chance) >= 0.5


def test_the_first_time_it_starts_again_at_once() -> None:
    for crashes, served in ((0, 3600.0), (7, 60.0)):
        restart = next_restart(crashes, served, 0.5)
        assert restart == Restart(1, 0.0)
        assert not restart.unfit
        assert restart.when == "at once"


@pytest.mark.parametrize("served", [0.0, 59.9])
def test_crashes_in_a_row_wait_longer_and_end_as_unfit(served: float) -> None:
    found = [next_restart(crashes, served, 0.999999) for crashes in range(1, 6)]
    assert [r.crashes for r in found] == [2, 3, 4, 5, 6]
    assert [round(r.delay) for r in found] == [1, 2, 4, 8, 16]
    assert [r.unfit for r in found] == [r.crashes >= MAX_CRASHES for r in found]
    assert found[1].when == "in 2.0 s"


@pytest.mark.parametrize(("served", "at_once"), [(0.0, False), (0.1, True)])
def test_the_last_one_that_answered_starts_again_at_once(served: float, at_once: bool) -> None:
    restart = next_restart(5, served, 0.5, alone=True)
    assert (restart.delay == 0, restart.crashes) == (at_once, 6)
