"""When what answers counts as stale."""

from penstock.serving.swap.registry_poll import Freshness


def test_failing_polls_make_it_stale_after_a_while() -> None:
    freshness = Freshness(poll_interval=2)
    assert not freshness.stale(0)
    for now in (10, 20, 30):
        freshness.failed(now)
    assert [freshness.stale(now) for now in (39.9, 40)] == [False, True]
    freshness.succeeded()
    assert not freshness.stale(1000)
    freshness.failed(1000)
    assert not freshness.stale(1029)


def test_it_is_known_when_it_becomes_stale() -> None:
    freshness = Freshness(poll_interval=2)
    assert freshness.until_stale(0) is None
    freshness.failed(10)
    assert [freshness.until_stale(now) for now in (10, 25, 39.5, 40)] == [30, 15, 0.5, None]


def test_with_long_intervals_five_failed_polls_make_it_stale() -> None:
    freshness = Freshness(poll_interval=60)
    freshness.failed(0)
    assert [freshness.stale(now) for now in (299, 300)] == [False, True]


def test_a_recalled_version_is_stale_until_the_registry_answers() -> None:
    freshness = Freshness(poll_interval=2)
    freshness.failed(0)
    freshness.recalled()
    assert freshness.stale(0)
    freshness.succeeded()
    assert not freshness.stale(0)
