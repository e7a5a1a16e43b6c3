from __future__ import annotations

import math

import pytest
from histogram import Histogram, _bucket, _highest
from hypothesis import given
from hypothesis import strategies as st

DURATIONS = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=200)


@given(st.integers(0, 2**48))
def test_a_bucket_holds_its_numbers_to_a_thousandth(value: int) -> None:
    highest = _highest(_bucket(value))
    assert value <= highest <= value * (1 + 1 / 1023)
    assert _bucket(highest) == _bucket(value)
    assert _bucket(highest + 1) == _bucket(value) + 1


@given(DURATIONS, st.floats(0, 1))
def test_percentiles_are_those_of_the_sorted_list(durations: list[float], share: float) -> None:
    exact = sorted(durations)[max(1, math.ceil(share * len(durations) - 1e-9)) - 1]
    assert Histogram(durations).percentile(share) == pytest.approx(exact, rel=0.0011, abs=2e-9)


@given(DURATIONS, DURATIONS)
def test_a_histogram_merged_and_read_back_is_the_same(one: list[float], other: list[float]) -> None:
    merged = Histogram(one)
    merged.merge(Histogram.from_json(Histogram(other).as_json()))
    assert merged.as_json() == Histogram(one + other).as_json()
    assert merged.total == len(one) + len(other)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert math.isnan(Histogram().percentile(0.5))
    assert Histogram().curve() == []


def test_a_curve_climbs_to_the_longest() -> None:
    points = Histogram(i / 1000 for i in range(1, 1001)).curve()
    assert points == sorted(points)
    assert points[0] == (0.0, pytest.approx(0.001, rel=0.002))
    assert points[-1] == (pytest.approx(0.999, abs=0.001), pytest.approx(1.0, rel=0.002))
