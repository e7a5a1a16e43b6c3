"""When a server is ready, and what it still waits for."""

from __future__ import annotations

import asyncio

from penstock.serving.readiness import Readiness
from serving.fakes import settle


class World:
    def __init__(self, *names: str, patterns: tuple[str, ...] = ()) -> None:
        self.loaded: set[str] = set()
        self.readiness = Readiness(self.loaded.__contains__, names, patterns)

    def load(self, name: str) -> None:
        self.loaded.add(name)
        self.readiness.check()


def test_readiness_waits_for_names_and_patterns_and_stays() -> None:
    world = World("a", "b", patterns=("x-*",))
    assert world.readiness.waiting_for == ["a", "b", "x-*"]
    world.load("a")
    world.load("b")
    assert (world.readiness.ready, world.readiness.waiting_for) == (False, ["x-*"])
    world.readiness.pattern_started("x-*")
    assert world.readiness.ready
    world.loaded.clear()
    assert world.readiness.ready
    world.readiness.drain()
    assert not world.readiness.ready


def test_with_nothing_expected_it_is_never_ready() -> None:
    assert not World().readiness.ready


def test_what_is_expected_may_change_until_it_was_ready_once() -> None:
    world = World("a", "gone", patterns=("x-*",))
    world.load("a")
    world.readiness.expect(["a", "b"], [])
    assert world.readiness.waiting_for == ["b"]
    world.load("b")
    assert world.readiness.ready
    world.readiness.expect(["a", "later"], ["y-*"])
    assert (world.readiness.ready, world.readiness.waiting_for) == (True, [])


def test_it_is_ready_where_it_was_told_to_wait_for_nothing() -> None:
    world = World()
    world.readiness.expect([], [])
    assert world.readiness.ready


async def test_waiting_ends_with_the_last_name() -> None:
    world = World("a", patterns=("x-*",))
    waiting = asyncio.create_task(world.readiness.until_ready())
    world.load("a")
    await settle()
    assert not waiting.done()
    world.readiness.pattern_started("x-*")
    await asyncio.wait_for(waiting, 10)


async def test_a_gateway_that_drains_first_is_never_ready() -> None:
    world = World("a")
    waiting = asyncio.create_task(world.readiness.until_ready())
    await settle()
    world.readiness.drain()
    world.load("a")
    await settle()
    assert not waiting.done()
    waiting.cancel()
