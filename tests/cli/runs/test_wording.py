"""How times, numbers and courses are worded."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime, timedelta

import pytest

from penstock.cli.runs.wording import ago, lasted, moment, number, signed, sparkline

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(milliseconds=400), "just now"),
        (timedelta(seconds=-5), "just now"),  # a clock that is ahead
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=30), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=40), "2026-03-25"),
    ],
)
def test_times_are_told_from_now(before: timedelta, said: str) -> None:
    assert ago(int((NOW - before).timestamp() * 1000), NOW) == said


def test_times_that_no_calendar_has_are_told_too() -> None:
    assert ago(0, NOW) == moment(0) == "-"
    assert moment(2**62).startswith("9999")


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (7, "7 ms"),
        (1500, "1.5 s"),
        (42_000, "42 s"),
        (90_000, "1 min 30 s"),
        (7_260_000, "2 h 1 min"),
        (2**28, "3 days 2 h"),
    ],
)
def test_lengths_of_time(milliseconds: int, said: str) -> None:
    assert lasted(milliseconds) == said


def test_numbers_have_six_digits() -> None:
    assert [number(value) for value in (0.1 + 0.2, 1e9, math.nan)] == ["0.3", "1e+09", "NaN"]
    assert [signed(value) for value in (0.25, -2.0, 0.0)] == ["+0.25", "-2", "="]


def test_a_course_shows_its_shape() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0]) == ""
    assert sparkline([3.0, 3.0]) == "▄▄"
    assert sparkline([0.0, math.nan, 1.0]) == "▁ █"
    assert sparkline([math.nan] * 3) == "   "
    assert sparkline([-sys.float_info.max, sys.float_info.max]) == "▁█"
    assert len(sparkline(list(range(1000)))) == 20
