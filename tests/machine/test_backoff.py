"""Delays before another try."""

from __future__ import annotations

import pytest

from penstock.machine.backoff import poll_delay, retry_delay


def test_delays_double_up_to_a_limit_and_are_spread() -> None:
    assert [retry_delay(n, 0.999999) for n in range(1, 9)] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], rel=1e-3)
    assert retry_delay(3, 0.0) == 2.0
    assert retry_delay(100_000, 0.5) == 45.0


class TestPollDelay:
    def test_a_poll_waits_the_interval_a_tenth_more_or_less(self) -> None:
        assert poll_delay(2.0, 0, 0.0) == pytest.approx(1.8)
        assert poll_delay(2.0, 0, 0.5) == pytest.approx(2.0)
        assert poll_delay(2.0, 0, 1.0) == pytest.approx(2.2)

    def test_a_poll_delay_doubles_with_each_failure_up_to_a_bound(self) -> None:
        assert [poll_delay(2.0, n, 0.5) for n in range(7)] == [2, 4, 8, 16, 30, 30, 30]
        assert poll_delay(2.0, 100_000, 0.5) == 30

    def test_an_interval_above_the_bound_stays(self) -> None:
        assert [poll_delay(300.0, n, 0.5) for n in (0, 1, 9)] == [300, 300, 300]
