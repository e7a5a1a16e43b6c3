"""Loads that rest as often as they work, so that an event loop beside them gets its turn."""

from __future__ import annotations

import sys
from time import thread_time

import pytest

from penstock.serving import pace
from penstock.serving.pace import Pace, gently, rest_after


@pytest.mark.parametrize(("worked", "rest"), [(0.0, 0.0), (0.0009, 0.0), (0.001, 0.001), (0.015, 0.015), (3.0, 0.02)])
def test_a_rest_is_as_long_as_the_work_before_it_within_bounds(worked: float, rest: float) -> None:
    assert rest_after(worked) == rest


class World:
    """Clocks that stand still until they are moved, and the rests taken."""

    def __init__(self) -> None:
        self.clock = self.work = 0.0
        self.rests: list[float] = []
        self.pace = Pace(lambda: self.clock, lambda: self.work, self.rest)

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.clock += seconds

    def go_on(self, work: float, waiting: float = 0.0) -> None:
        self.work += work
        self.clock += work + waiting
        self.pace.breathe()


def test_it_rests_once_enough_work_has_come_together() -> None:
    world = World()
    for _ in range(10):
        world.go_on(0.00025)
    assert world.rests == pytest.approx([0.001, 0.001])


def test_waiting_is_no_work() -> None:
    world = World()
    for _ in range(100):
        world.go_on(0.000001, waiting=0.01)
    assert world.rests == []


def test_a_rest_does_not_count_towards_the_next_one() -> None:
    world = World()
    world.go_on(0.01)
    world.go_on(0.0005)
    assert world.rests == [0.01]


def spin(seconds: float) -> None:
    until = thread_time() + seconds
    while thread_time() < until:  # calls, as any library makes them
        pass


def test_code_of_others_rests_too_and_afterwards_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(pace, "Pace", lambda: Pace(rest=rests.append))
    with gently():
        spin(0.02)
    assert len(rests) >= 5
    assert sys.getprofile() is None
    rests.clear()
    spin(0.005)
    assert rests == []


def test_a_failure_ends_it_as_well() -> None:
    with pytest.raises(ValueError, match="no"), gently():
        raise ValueError("no")
    assert sys.getprofile() is None


def test_whoever_profiles_the_thread_goes_on_undisturbed() -> None:
    seen: list[str] = []
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        before = sys.getprofile()
        with gently():
            assert sys.getprofile() is before
        assert sys.getprofile() is before
    finally:
        sys.setprofile(None)
    assert seen
