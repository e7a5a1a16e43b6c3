"""Loads that rest as often as they work, so that an event loop beside them gets its turn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

import pytest

from penstock.machine import throttle as pace
from penstock.machine.cores import ProcessorWaits
from penstock.machine.throttle import Throttle, background, is_throttled, rest_after, throttled, throttled_if


@pytest.mark.parametrize(("worked", "rest"), [(0.0, 0.0), (0.0009, 0.0), (0.001, 0.001), (0.015, 0.015), (3.0, 0.02)])
def test_a_rest_is_as_long_as_the_work_before_it_within_bounds(worked: float, rest: float) -> None:
    assert rest_after(worked) == rest


@pytest.mark.parametrize(
    ("worked", "waited", "rest"),
    [(0.0009, 1.0, 0.0), (0.001, 0.0005, 0.003), (0.001, 0.0008, 0.0042), (0.004, 0.001, 0.008), (0.01, 0.008, 0.02)],
)
def test_who_waited_for_the_processor_rests_longer_within_bounds(worked: float, waited: float, rest: float) -> None:
    assert rest_after(worked, waited) == pytest.approx(rest)


@pytest.mark.parametrize(
    ("worked", "waited", "rest"),
    [(0.001, 0.001, 0.004), (0.001, 0.003, 0.002), (0.001, 0.004, 0.001), (0.001, 0.1, 0.001), (0.01, 0.1, 0.01)],
)
def test_on_a_busy_machine_waits_take_the_place_of_the_longer_rests(worked: float, waited: float, rest: float) -> None:
    assert rest_after(worked, waited) == pytest.approx(rest)


class World:
    """Clocks that stand still until they are moved, and the rests taken."""

    def __init__(self) -> None:
        self.clock = self.work = self.waits = 0.0
        self.rests: list[float] = []
        self.pace = Throttle(lambda: self.clock, lambda: self.work, self.rest, lambda: self.waits)
        self.wait_after_rest = 0.0

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.clock += seconds
        self.waits += self.wait_after_rest

    def go_on(self, work: float, waiting: float = 0.0) -> None:
        self.work += work
        self.clock += work + waiting
        self.pace.breathe()


def test_a_thread_rests_once_enough_work_has_come_together() -> None:
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


def test_a_wait_counts_once_be_it_in_the_work_or_after_a_rest() -> None:
    world = World()
    world.go_on(0.002)
    world.waits += 0.0005
    world.go_on(0.002)
    world.go_on(0.002)
    world.wait_after_rest = 0.00025
    world.go_on(0.002)
    world.wait_after_rest = 0.0
    world.go_on(0.002)
    world.go_on(0.002)
    assert world.rests == pytest.approx([0.002, 0.004, 0.002, 0.002, 0.003, 0.002])


@pytest.mark.parametrize("wait", [0.0, 0.0005, 0.001, 0.002, 0.004])
def test_a_load_makes_headway_however_often_it_waits(wait: float) -> None:
    world = World()
    for _ in range(1000):
        world.waits += wait
        world.go_on(0.001, waiting=wait)
    assert world.work / world.clock >= 1 / 6 - 1e-9


def test_on_a_machine_that_leaves_it_less_than_its_share_a_load_rests_no_longer_than_on_an_idle_one() -> None:
    world = World()
    for _ in range(1000):
        world.waits += 0.02
        world.go_on(0.001, waiting=0.02)
    assert sum(world.rests) == pytest.approx(world.work, rel=0.01)


@contextmanager
def one_core() -> Iterator[None]:
    """This thread, and what it starts, on one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(not os.path.exists("/proc/thread-self/schedstat"), reason="Linux counts waits, where it is told to")
def test_waits_are_those_for_a_core_that_somebody_else_has() -> None:
    waits = ProcessorWaits()
    busy = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    with one_core(), subprocess.Popen(busy, stdout=subprocess.PIPE) as rival:
        assert rival.stdout is not None
        rival.stdout.readline()
        before, worked = waits.seconds(), thread_time()
        spin(0.1)
        assert waits.seconds() - before > 0.2 * (thread_time() - worked)
        rival.kill()
    waits.close()
    assert waits.seconds() == 0.0


def spin(seconds: float) -> None:
    until = thread_time() + seconds
    while thread_time() < until:  # calls, as any library makes them
        pass


@pytest.mark.parametrize("yielding", [False, True])
def test_code_of_others_rests_too_and_afterwards_nothing_is_left(
    yielding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(pace, "Throttle", lambda **given: Throttle(rest=rests.append, **given))
    with throttled(yielding=yielding):
        spin(0.02)
    assert len(rests) >= 5
    assert sys.getprofile() is None
    rests.clear()
    spin(0.005)
    assert rests == []


def test_a_failure_ends_it_as_well() -> None:
    with pytest.raises(ValueError, match="no"), throttled():
        raise ValueError("no")
    assert sys.getprofile() is None


def test_whoever_profiles_the_thread_goes_on_undisturbed() -> None:
    seen: list[str] = []
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        before = sys.getprofile()
        with throttled():
            assert sys.getprofile() is before
        assert sys.getprofile() is before
    finally:
        sys.setprofile(None)
    assert seen


@pytest.mark.parametrize("needed", [False, True])
def test_a_load_is_throttled_only_where_that_is_needed(needed: bool) -> None:
    with throttled_if(needed, yielding=True):
        assert is_throttled() is needed
    assert not is_throttled()


def lengths(rests: list[float]) -> float:
    return sum(rests) / len(rests)


def test_what_may_take_its_time_rests_longer_within_what_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(pace, "Throttle", lambda **given: Throttle(rest=rests.append, **given))
    with background():
        spin(0.005)
    assert rests == []  # nobody is served meanwhile
    with throttled():
        outer = sys.getprofile()
        spin(0.02)
        usual = lengths(rests)
        rests.clear()
        with background():
            with background(), throttled():  # which changes nothing
                spin(0.02)
            assert lengths(rests) > 2 * usual
        assert sys.getprofile() is outer
        rests.clear()
        spin(0.02)
        assert lengths(rests) < 2 * usual
    assert sys.getprofile() is None
