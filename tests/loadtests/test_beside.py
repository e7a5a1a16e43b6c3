"""What is said of callers beside large bodies: medians of ratios within a round, and whether that was wanted."""

from __future__ import annotations

from math import inf

import pytest
from beside import Beside, report


def seen(beside: float, large: float, alone: float = 1.0) -> Beside:
    callers = {"alone": alone, "json": beside, "csv": beside}
    waits = {company: dict.fromkeys(("p50", "p99", "max", "late_p99"), value) for company, value in callers.items()}
    both = {"json": large, "csv": large}
    return Beside(waits, both, both, {"alone": 0.2, "json": 0.9, "csv": 0.9})


def test_the_median_of_the_rounds_ratios_counts() -> None:
    assert report([seen(2.0, 100), seen(2.9, 100), seen(90.0, 100)], [])
    assert not report([seen(2.0, 100), seen(3.1, 100), seen(90.0, 100)], [])
    assert report([seen(50.0, 100, alone=20.0), seen(2.0, 100)], [])


def test_a_large_request_may_take_twice_as_long_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([seen(2.0, 199)], [seen(50.0, 100)])
    assert not report([seen(2.0, 201)], [seen(50.0, 100)])
    assert "json large: 2.01 × before (at most 2) MISSED" in capsys.readouterr().out


def test_rounds_that_failed_before_do_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([seen(2.0, 201), seen(2.0, 100)], [seen(1.0, inf), seen(1.0, 100)])
    assert report([seen(2.0, 201)], [seen(1.0, inf)])
    assert "csv large: was not answered before" in capsys.readouterr().out
