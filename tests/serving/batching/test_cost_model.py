"""What batches are expected to cost, how large a part is by that, and which of them run on the event loop."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.serving.batching.cost_model import CostModel, Inline, PartSize


class TestCostAtLeast:
    def test_nothing_known_takes_no_time(self) -> None:
        assert CostModel().at_least(1000, 10) == 0

    def test_sizes_never_seen_are_not_taken_to_be_dear(self) -> None:
        cost = CostModel()
        for _ in range(10):
            cost.observe(1, 0.006)
        assert cost.at_least(100, 1024) == pytest.approx(0.006)
        assert cost.at_least(2048, 1024) == pytest.approx(0.012)

    @given(st.floats(0, 1), st.floats(1e-5, 1), st.integers(1, 5000), st.integers(1, 1024))
    def test_a_straight_line_is_found(self, fixed: float, row: float, rows: int, most: int) -> None:
        cost = CostModel()
        for n in (1, 5, 9, 2, 30):
            cost.observe(n, fixed + n * row)
        expected = -(-rows // most) * fixed + rows * row
        assert cost.at_least(rows, most) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_nothing_runs_inline_before_anything_is_known() -> None:
    assert not Inline(0.001).choose(1, inf)


def test_what_is_cheap_inline_stays_inline_however_dear_it_looked_in_a_thread() -> None:
    inline = Inline(0.001)
    assert inline.choose(64, 0.005), "worth a try"
    inline.observe(64, 0.0005)
    assert all(inline.choose(64, 1.0) for _ in range(100))


def test_what_is_dear_inline_is_tried_again_only_now_and_then() -> None:
    inline = Inline(0.001)
    tries = 0
    for _ in range(650):
        if inline.choose(64, 0.005):
            tries += 1
            inline.observe(64, 0.003)
    assert 5 <= tries <= 11


def test_what_is_far_too_dear_is_never_tried_inline() -> None:
    inline = Inline(0.001)
    assert not any(inline.choose(1, 0.05) for _ in range(1000))


def test_small_batches_may_be_cheap_inline_where_large_ones_are_not() -> None:
    inline = Inline(0.001)
    for _ in range(100):
        inline.observe(1, 0.0002)
        inline.observe(1000, 0.02)
    assert inline.choose(1, 1.0)
    assert not inline.choose(1000, 1.0)


def test_many_more_rows_than_ever_ran_inline_are_not_believed_to_be_cheap() -> None:
    inline = Inline(0.001)
    for rows in (1, 2, 4):
        assert inline.choose(rows, 0.0001)
        inline.observe(rows, 0.0002)
        for _ in range(64):
            inline.choose(1024, 1.0)  # the next try is due
    assert inline.choose(8, 1.0)
    assert not inline.choose(1024, 1.0), "which a line through so few rows would call cheap"
    assert inline.choose(1024, 0.008), "worth a try"


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


@pytest.mark.parametrize("misleading", [False, True])
def test_a_model_that_has_only_seen_single_rows_is_given_more_of_a_large_request(misleading: bool) -> None:
    cost = CostModel()
    size = PartSize(cost, 1024)
    for _ in range(50):
        cost.observe(1, 0.03)
        size.ran(1)
    if misleading:
        cost.observe(2, 0.06)  # held up by something else
    left, parts = 10_000, 0
    while left > 0:
        rows = size.rows()
        cost.observe(rows, 0.03 + 0.00001 * rows)
        size.ran(rows)
        left, parts = left - rows, parts + 1
    assert parts < 100, "30 ms each, whether of one row or of a thousand"


def test_a_model_that_takes_its_time_for_every_row_is_given_few_at_once() -> None:
    cost = CostModel()
    size = PartSize(cost, 1024)
    sizes: list[int] = []
    for _ in range(200):
        rows = size.rows() if len(sizes) >= 50 else 1
        cost.observe(rows, 0.01 * rows)
        size.ran(rows)
        sizes.append(rows)
    assert max(sizes) <= 2
    assert sum(sizes[50:]) < 170


def test_one_row_is_never_a_large_request() -> None:
    assert learnt(0.0, 1.0).fits(1)
    assert not learnt(0.0, 1.0).fits(2)
