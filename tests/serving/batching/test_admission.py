"""Who is let in, for how long a refused one is sent away, and what the estimate is worth."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Overloaded
from penstock.serving.batching.admission import (
    MAX_RETRY_AFTER,
    MIN_CONCURRENCY,
    STANDING,
    ConcurrencyLimit,
    DrainRate,
    InflightHold,
    InflightLimits,
    Limit,
    misses_deadline,
    retry_after,
)

amounts = st.floats(0, 1e9)
rates = st.floats(0, 1e9)


class TestRetryAfter:
    @given(amounts, rates)
    def test_retry_after_is_whole_seconds_within_bounds(self, waiting: float, rate: float) -> None:
        seconds = retry_after(waiting, rate)
        assert isinstance(seconds, int)
        assert 1 <= seconds <= MAX_RETRY_AFTER

    @given(amounts, amounts, rates)
    def test_more_in_the_queue_never_means_sooner(self, one: float, other: float, rate: float) -> None:
        assert retry_after(min(one, other), rate) <= retry_after(max(one, other), rate)

    @given(amounts, st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
    def test_a_faster_drain_never_means_later(self, waiting: float, one: float, other: float) -> None:
        assert retry_after(waiting, max(one, other)) <= retry_after(waiting, min(one, other))

    @given(amounts, st.floats(1e-9, 1e9))
    def test_retry_after_is_long_enough_and_not_a_second_longer(self, waiting: float, rate: float) -> None:
        """Long enough for what waits to have gone, and not a second longer, where the bounds leave it alone."""
        seconds = retry_after(waiting, rate)
        assert seconds >= min(waiting / rate, MAX_RETRY_AFTER)
        assert seconds <= max(1.0, waiting / rate + 1)

    def test_retry_after_of_known_queues_is_as_listed(self) -> None:
        assert [retry_after(w, 10) for w in (0, 1, 10, 11, 25, 10_000)] == [1, 1, 1, 2, 3, 60]
        assert retry_after(1000, 0) == 1, "nothing is known"


class TestDrainRate:
    def test_nothing_is_known_at_first(self) -> None:
        rate = DrainRate()
        assert rate.value == 0
        rate.observe(5, 0)
        assert rate.value == 0

    @given(st.floats(0.5, 1e5), st.lists(st.floats(1e-4, 20), min_size=1, max_size=50))
    def test_a_steady_drain_is_found_whatever_the_steps(self, rate: float, steps: list[float]) -> None:
        drain = DrainRate()
        for seconds in steps:
            drain.observe(rate * seconds, seconds)
        assert drain.value == pytest.approx(rate)

    @given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0.001, 5)), min_size=1, max_size=30))
    def test_the_rate_stays_between_what_was_observed(self, seen: list[tuple[int, float]]) -> None:
        drain = DrainRate()
        for amount, seconds in seen:
            drain.observe(amount, seconds)
        found = [amount / seconds for amount, seconds in seen]
        assert min(found) * 0.999 <= drain.value <= max(found) * 1.001

    def test_the_rate_follows_a_change_within_some_seconds(self) -> None:
        drain = DrainRate()
        for _ in range(100):
            drain.observe(100, 0.1)
        for _ in range(60):
            drain.observe(10, 0.1)
        assert 100 <= drain.value < 160


def run(crowd: ConcurrencyLimit, *, rate: float, seconds: float, offered: float, now: float = 0.0) -> tuple[float, int]:
    """Offers requests at one rate to a crowd that leaves at another. Returns the time and how many were refused."""
    step, end, came, served, refused = 0.005, now + seconds, 0.0, 0.0, 0
    while now < end:
        now += step
        served = min(served + rate * step, crowd.inside)
        while served >= 1:
            served -= 1
            crowd.leave(now)
        came += offered * step
        while came >= 1:
            came -= 1
            if crowd.inside < crowd.limit:
                crowd.enter(now)
            else:
                refused += 1
    return now, refused


class TestCrowd:
    def test_all_come_in_while_nothing_is_known(self) -> None:
        assert ConcurrencyLimit().limit == inf

    def test_the_rate_is_measured_while_somebody_is_inside(self) -> None:
        crowd = ConcurrencyLimit()
        now = 0.0
        for _ in range(1000):  # one after the other, 2 ms each, with pauses of a minute
            crowd.enter(now)
            crowd.leave(now + 0.002)
            now += 60
        assert crowd.rate.value == pytest.approx(500, rel=0.02)
        assert crowd.inside == 0

    def test_a_standing_queue_is_held_to_a_twentieth(self) -> None:
        crowd = ConcurrencyLimit(1.0)
        _, refused = run(crowd, rate=10_000, seconds=3, offered=20_000)
        assert crowd.limit == pytest.approx(10_000 * STANDING, rel=0.1)
        assert refused > 20_000
        assert crowd.inside < crowd.limit + 1

    def test_a_burst_may_come_once_a_standing_queue_is_gone(self) -> None:
        crowd = ConcurrencyLimit(1.0)
        now, _ = run(crowd, rate=10_000, seconds=3, offered=20_000)
        now, _ = run(crowd, rate=10_000, seconds=1, offered=3_000, now=now)
        assert crowd.limit > 2_000
        for _ in range(2_000):
            assert crowd.inside < crowd.limit
            crowd.enter(now)

    def test_a_burst_may_come_after_a_pause(self) -> None:
        crowd = ConcurrencyLimit(1.0)
        now, _ = run(crowd, rate=10_000, seconds=3, offered=20_000)
        for _ in range(crowd.inside):
            crowd.leave(now)
        crowd.enter(now + 0.2)
        assert crowd.limit > 2_000

    def test_a_burst_is_no_standing_queue(self) -> None:
        crowd = ConcurrencyLimit(1.0)
        now, _ = run(crowd, rate=10_000, seconds=1, offered=5_000)
        _, refused = run(crowd, rate=10_000, seconds=0.2, offered=15_000, now=now)
        assert refused == 0

    def test_few_may_share_a_slow_model(self) -> None:
        crowd = ConcurrencyLimit(1.0)
        now = 0.0
        for _ in range(MIN_CONCURRENCY):
            crowd.enter(now)
        for _ in range(MIN_CONCURRENCY * 3):
            now += 1.0  # a second each
            crowd.leave(now)
            assert crowd.inside < crowd.limit
            crowd.enter(now)
        assert crowd.inside >= crowd.limit
        assert crowd.retry_after == MAX_RETRY_AFTER

    @given(
        st.floats(1, 20_000), st.floats(1, 40_000), st.floats(0.01, 5), st.floats(0, 1e6)
    )  # fmt: skip
    def test_more_than_the_limit_are_never_inside(self, rate: float, offered: float, wait: float, start: float) -> None:
        crowd = ConcurrencyLimit(wait)
        run(crowd, rate=rate, seconds=0.6, offered=offered, now=start)
        assert crowd.limit >= MIN_CONCURRENCY
        assert crowd.inside <= max(offered * 0.7, MIN_CONCURRENCY)
        assert 0 <= crowd.rate.value <= max(rate, 1) * 1.2 + 20

    def test_refused_requests_do_not_make_a_model_look_quick(self) -> None:
        crowd = ConcurrencyLimit()
        for number in range(1000):
            crowd.enter(number * 0.001)
            crowd.leave(number * 0.001 + 0.0005, served=False)
        assert crowd.rate.value == 0


class TestTooLate:
    @given(st.floats(0, 1e6), st.floats(0, 1e6))
    def test_a_fifth_of_the_patience_is_left_as_a_margin(self, expected: float, time_left: float) -> None:
        assert misses_deadline(expected, time_left) == (expected > time_left * 0.8)

    def test_nobody_waits_for_ever_in_vain(self) -> None:
        assert not misses_deadline(1e9, inf)


class TestIntake:
    def test_requests_beyond_the_limit_are_refused(self) -> None:
        inflight_limits = InflightLimits(max_requests=2)
        for _ in range(2):
            assert inflight_limits.refuses() is None
            inflight_limits.requests += 1
        assert inflight_limits.refuses() == "requests"

    def test_bytes_beyond_the_limit_are_refused(self) -> None:
        inflight_limits = InflightLimits(max_bytes=100)
        assert inflight_limits.refuses(1000) is None, "a lone body may be larger"
        inflight_limits.bytes = 60
        assert inflight_limits.refuses(40) is None
        assert inflight_limits.refuses(41) == "bytes"
        inflight_limits.bytes = 100
        assert inflight_limits.refuses(0) == "bytes"

    @given(st.lists(st.integers(0, 120), max_size=20), st.integers(1, 100))
    def test_the_bound_holds_but_for_a_lone_body(self, chunks: list[int], most: int) -> None:
        inflight_limits = InflightLimits(max_bytes=most)
        own = [0, 0, 0]
        for number, chunk in enumerate(chunks):
            who = number % 3
            if inflight_limits.fits(chunk, own[who]):
                inflight_limits.bytes += chunk
                own[who] += chunk
            assert inflight_limits.bytes <= most or inflight_limits.bytes == max(own)
            assert inflight_limits.bytes == sum(own)


class Entrance:
    """What a gateway is to the requests that it holds."""

    def __init__(self, inflight_limits: InflightLimits) -> None:
        self.inflight_limits = inflight_limits

    def overloaded(self, limit: Limit) -> Overloaded:
        return Overloaded("full", limit=limit, retry_after=1)


class TestInflightHold:
    def test_a_hold_is_one_request_and_its_bytes_until_it_is_released(self) -> None:
        inflight_limits = InflightLimits(max_bytes=100)
        first, second = InflightHold(Entrance(inflight_limits)), InflightHold(Entrance(inflight_limits))
        first.take(40)
        first.take(20)
        second.take(40)
        assert repr(inflight_limits) == "<InflightLimits 2 requests, 100 bytes>"
        first.release()
        assert repr(inflight_limits) == "<InflightLimits 1 requests, 40 bytes>"
        second.release()
        assert repr(inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"

    def test_bytes_that_find_no_room_are_refused_and_not_counted(self) -> None:
        inflight_limits = InflightLimits(max_bytes=100)
        first, second = InflightHold(Entrance(inflight_limits)), InflightHold(Entrance(inflight_limits))
        first.take(100)
        with pytest.raises(Overloaded, match="full") as caught:
            second.take(1)
        assert caught.value.limit == "bytes"
        assert (inflight_limits.bytes, second.bytes) == (100, 0)

    def test_a_lone_body_may_be_larger_than_all_that_is_allowed(self) -> None:
        inflight_limits = InflightLimits(max_bytes=100)
        hold = InflightHold(Entrance(inflight_limits))
        hold.take(1000)
        assert repr(hold) == "<InflightHold 1000 bytes, of <InflightLimits 1 requests, 1000 bytes>>"
