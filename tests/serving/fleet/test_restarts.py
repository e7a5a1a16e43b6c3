"""When a worker that ended starts again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.machine.exit_status import how_it_ended
from penstock.serving.fleet.restarts import MOST_DELAY, crashes_in_a_row, restart_delay


@pytest.mark.parametrize(
    ("before", "served", "now"), [(0, 0.0, 1), (0, 3600.0, 1), (1, 5.0, 2), (7, 59.9, 8), (7, 60.0, 1), (7, 0.0, 8)]
)
def test_crashes_in_a_row(before: int, served: float, now: int) -> None:
    assert crashes_in_a_row(before, served) == now


def test_delays_grow_to_a_limit() -> None:
    assert [restart_delay(n, 0.999999) for n in range(1, 9)] == pytest.approx([0, 1, 2, 4, 8, 16, 30, 30], rel=1e-3)
    assert restart_delay(4, 0.0) == 2.0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_it_always_comes_back_in_bounded_time(crashes: int, chance: float) -> None:
    assert 0 <= restart_delay(crashes, chance) <= MOST_DELAY
    assert crashes == 1 or restart_delay(crashes, chance) >= 0.5


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with code 0"),
        (3, "ended with code 3"),
        (-9, "was killed by signal 9 (SIGKILL)"),
        (-200, "was killed by signal 200"),
    ],
)
def test_how_it_ended(code: int, words: str) -> None:
    assert how_it_ended(code) == words
