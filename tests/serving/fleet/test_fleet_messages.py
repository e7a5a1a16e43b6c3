"""What a crew is told beside orders: that all agree, what failed, and models that come and go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.errors import Closing
from penstock.serving.fleet.fleet_plan import Agree, Ask, Begun, Note, Serve, Unserve
from penstock.serving.fleet.fleet_target import FleetTarget
from penstock.serving.load_failure import LoadFailure
from serving.fakes import settle
from serving.fleet import test_worker_fleet
from serving.fleet.test_worker_fleet import World, v

world = test_worker_fleet.world  # the fixture


class TestWhatAllMaySay:
    def agreed(self, world: World, number: int) -> list[str]:
        return [word.version for word in world.orders[number] if isinstance(word, Agree)]

    async def test_a_version_answers_everywhere_once_every_worker_has_said_so(self, world: World) -> None:
        world.arrive(1, 2)
        await world.serve(1)
        world.crew.answers(1, "m", "1")
        assert self.agreed(world, 1) == []
        world.crew.answers(2, "m", "1")
        assert self.agreed(world, 1) == self.agreed(world, 2) == ["1"]
        await world.serve(2)
        world.crew.answers(2, "m", "2")
        assert self.agreed(world, 2) == ["1"]
        world.crew.answers(1, "m", "2")
        assert self.agreed(world, 1) == self.agreed(world, 2) == ["1", "2"]

    async def test_one_that_is_gone_is_not_waited_for_and_one_that_comes_is_told(self, world: World) -> None:
        world.arrive(1, 2)
        await world.serve(1)
        world.crew.answers(1, "m", "1")
        world.crew.leave(2, "was killed")
        assert self.agreed(world, 1) == ["1"]
        world.arrive(2)
        world.proven(2, 1)
        world.crew.answers(2, "m", "1")
        assert self.agreed(world, 2)[-1] == "1"

    async def test_a_failure_is_known_to_all_also_to_those_that_come_later(self, world: World) -> None:
        world.arrive(1, 2)
        failure = LoadFailure("2", "proof_failed", "no", 1.0, 1)
        world.stage.note_failure(failure)
        world.stage.note_failure(failure)
        assert [w for w in world.orders[1] if isinstance(w, Note)] == [Note(failure)]
        world.arrive(3)
        assert Note(failure) in world.orders[3]
        world.stage.note_failure(None)
        assert world.orders[3][-1] == Note(None)


class TestModelsThatComeAndGo:
    def words(self, world: World, number: int, model: str) -> list[Any]:
        return [word for name, word in world.said[number] if name == model]

    @pytest.fixture
    def world(self, world: World) -> World:
        """Which remembers for what model a word is."""
        world.said: dict[int, list[Any]] = {}  # type: ignore[attr-defined, misc]

        def arrive(*numbers: int) -> None:
            for number in numbers:
                world.said[number] = []  # type: ignore[attr-defined]
                world.crew.arrive(number, lambda model, word, number=number: world.said[number].append((model, word)))  # type: ignore[attr-defined, misc]

        world.arrive = arrive  # type: ignore[method-assign]
        return world

    async def test_workers_are_told_also_those_that_come_later(self, world: World) -> None:
        world.arrive(1)
        FleetTarget(world.crew, "team-a", world.metrics, alias="production", added=True)
        world.crew.begun("team-*")
        assert self.words(world, 1, "team-a") == [Serve("production")]
        world.arrive(2)
        assert self.words(world, 2, "team-a") == [Serve("production")]
        assert self.words(world, 2, "team-*") == self.words(world, 1, "team-*") == [Begun()]
        assert self.words(world, 2, "m") == []  # which they know by themselves

    async def test_one_that_goes_and_comes_back_begins_anew_in_each_worker_once_its_first_life_is_over(
        self, world: World
    ) -> None:
        world.arrive(1, 2)
        stage = FleetTarget(world.crew, "team-a", world.metrics, added=True)
        preparing = asyncio.create_task(stage.prepare(v(1)))
        await settle()
        world.crew.proven(1, "team-a", "1")
        preparing.cancel()
        await asyncio.wait([preparing])
        world.crew.unserve("team-a")
        assert self.words(world, 1, "team-a")[-1] == Unserve()
        again = FleetTarget(world.crew, "team-a", world.metrics, added=True)
        preparing = asyncio.create_task(again.prepare(v(2)))
        await settle()
        world.crew.proven(2, "team-a", "1")  # said in the first life
        assert self.words(world, 2, "team-a")[-1] == Unserve()
        for number in (1, 2):
            world.crew.unserved(number, "team-a")
        assert [type(word) for word in self.words(world, 2, "team-a")[-2:]] == [Serve, Ask]
        world.crew.proven(1, "team-a", "2")
        await settle()
        assert not preparing.done()
        world.crew.proven(2, "team-a", "2")
        again.swap(await preparing)
        assert again.current == "2"

    async def test_the_end_does_not_wait_for_one_that_is_being_prepared(self, world: World) -> None:
        world.arrive(1)
        stage = FleetTarget(world.crew, "team-a", world.metrics, added=True)
        preparing = asyncio.create_task(stage.prepare(v(1)))
        await settle()
        world.crew.close()
        with pytest.raises(Closing):
            await preparing


async def test_a_crew_is_ready_when_what_it_began_with_is_loaded(world: World) -> None:
    crew = world.crew
    crew.add_pattern("models:/x-*@production")
    waiting = asyncio.create_task(crew.until_ready())
    world.arrive(1)
    FleetTarget(crew, "later", world.metrics, added=True)  # has no say in it
    await settle()
    assert crew.waiting_for == ["m", "models:/x-*@production"]
    crew.begun("models:/x-*@production")
    await settle()
    assert (crew.waiting_for, waiting.done()) == (["m"], False)
    await world.serve(1)
    await asyncio.wait_for(waiting, 10)
    assert crew.waiting_for == []
