"""What becomes of a model process that ended."""

from __future__ import annotations

import pytest

from penstock.serving.runners.restart_policy import MOST_CRASHES, Next, after_end


def test_the_first_time_it_starts_again_at_once() -> None:
    assert after_end(0, 3600.0, 0.5) == Next(1, 0.0, False)
    assert after_end(7, 60.0, 0.5) == Next(1, 0.0, False)


@pytest.mark.parametrize("served", [0.0, 59.9])
def test_in_a_row_it_waits_and_counts_as_failed(served: float) -> None:
    found = [after_end(crashes, served, 0.999999) for crashes in range(1, 6)]
    assert [n.crashes for n in found] == [2, 3, 4, 5, 6]
    assert [round(n.delay) for n in found] == [1, 2, 4, 8, 16]
    assert [n.failed for n in found] == [n.crashes >= MOST_CRASHES for n in found]
