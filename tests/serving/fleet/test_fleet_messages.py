"""Commands beside orders: that all serve a version, what failed, and models that come and go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.errors import Closing
from penstock.serving.fleet.fleet_target import FleetTarget
from penstock.serving.fleet.messages import (
    AddModel,
    AllServe,
    ExpectModels,
    ModelRemoved,
    NoteFailure,
    NoteRegistry,
    PatternStarted,
    PatternWaits,
    PrepareVersion,
    RemoveModel,
    VersionProven,
    VersionsSet,
)
from penstock.serving.served_model import LoadFailure, RegistryState
from serving.fakes import settle
from serving.fleet.fleet_world import World, v


class TestWhatAllMaySay:
    def agreed(self, world: World, number: int) -> list[str]:
        return [word.build for word in world.orders[number] if isinstance(word, AllServe)]

    async def test_a_version_answers_everywhere_once_every_worker_has_said_so(self, world: World) -> None:
        world.arrive(1, 2)
        await world.serve(1)
        world.fleet.on_event(1, VersionsSet("m", "1"))
        assert self.agreed(world, 1) == []
        world.fleet.on_event(2, VersionsSet("m", "1"))
        assert self.agreed(world, 1) == self.agreed(world, 2) == ["1"]
        await world.serve(2)
        world.fleet.on_event(2, VersionsSet("m", "2"))
        assert self.agreed(world, 2) == ["1"]
        world.fleet.on_event(1, VersionsSet("m", "2"))
        assert self.agreed(world, 1) == self.agreed(world, 2) == ["1", "2"]

    async def test_a_lost_worker_is_not_waited_for_and_a_new_one_is_told(self, world: World) -> None:
        world.arrive(1, 2)
        await world.serve(1)
        world.fleet.on_event(1, VersionsSet("m", "1"))
        world.fleet.remove_worker(2, "was killed")
        assert self.agreed(world, 1) == ["1"]
        world.arrive(2)
        world.proven(2, 1)
        world.fleet.on_event(2, VersionsSet("m", "1"))
        assert self.agreed(world, 2)[-1] == "1"

    async def test_a_failure_is_known_to_all_also_to_those_that_come_later(self, world: World) -> None:
        world.arrive(1, 2)
        failure = LoadFailure("2", "proof_failed", "no", 1.0, 1)
        world.target.note_failure(failure)
        world.target.note_failure(failure)
        assert [w for w in world.orders[1] if isinstance(w, NoteFailure)] == [NoteFailure("m", failure)]
        world.arrive(3)
        assert NoteFailure("m", failure) in world.orders[3]
        world.target.note_failure(None)
        assert world.orders[3][-1] == NoteFailure("m", None)


class TestModelsThatComeAndGo:
    def commands(self, world: World, number: int, model: str) -> list[Any]:
        return [command for command in world.orders[number] if getattr(command, "model", None) == model]

    async def test_workers_that_come_later_are_told_of_models_too(self, world: World) -> None:
        world.arrive(1)
        FleetTarget(world.fleet, "team-a", world.metrics, alias="production")
        world.fleet.pattern_started("team-*")
        known = [ExpectModels(["m"], [], "m"), AddModel("m", "production")]
        assert world.orders[1] == [*known, AddModel("team-a", "production"), PatternStarted("team-*")]
        world.arrive(2)
        assert world.orders[2] == [
            known[0],
            PatternStarted("team-*"),
            known[1],
            AddModel("team-a", "production"),
        ]

    async def test_workers_are_told_why_a_pattern_waits_until_it_has_started(self, world: World) -> None:
        world.arrive(1)
        for _ in range(2):
            world.fleet.pattern_waits("team-*", "registry_unavailable")
        waits = PatternWaits("team-*", "registry_unavailable")
        assert [order for order in world.orders[1] if isinstance(order, PatternWaits)] == [waits]
        world.arrive(2)
        assert waits in world.orders[2]
        world.fleet.pattern_started("team-*")
        world.arrive(3)
        assert not any(isinstance(order, PatternWaits) for order in world.orders[3])

    async def test_a_model_that_comes_back_begins_anew_once_its_first_life_is_over(self, world: World) -> None:
        world.arrive(1, 2)
        target = FleetTarget(world.fleet, "team-a", world.metrics)
        preparing = asyncio.create_task(target.prepare(v(1)))
        await settle()
        world.fleet.on_event(1, VersionProven("team-a", "1"))
        preparing.cancel()
        await asyncio.wait([preparing])
        world.fleet.remove_model("team-a")
        assert self.commands(world, 1, "team-a")[-1] == RemoveModel("team-a")
        again = FleetTarget(world.fleet, "team-a", world.metrics)
        preparing = asyncio.create_task(again.prepare(v(2)))
        await settle()
        world.fleet.on_event(2, VersionProven("team-a", "1"))  # said in the first life
        assert self.commands(world, 2, "team-a")[-1] == RemoveModel("team-a")
        for number in (1, 2):
            world.fleet.on_event(number, ModelRemoved("team-a"))
        assert [type(command) for command in self.commands(world, 2, "team-a")[-2:]] == [AddModel, PrepareVersion]
        world.fleet.on_event(1, VersionProven("team-a", "2"))
        await settle()
        assert not preparing.done()
        world.fleet.on_event(2, VersionProven("team-a", "2"))
        again.swap(await preparing)
        assert again.current == "2"

    async def test_between_two_lives_a_worker_hears_of_the_model_only_once_the_first_is_over(
        self, world: World
    ) -> None:
        """It would not know what to do with it."""
        world.arrive(1)
        FleetTarget(world.fleet, "team-a", world.metrics)
        world.fleet.remove_model("team-a")
        target = FleetTarget(world.fleet, "team-a", world.metrics)
        failure = LoadFailure("1", "proof_failed", "no", 1.0, 1)
        target.note_failure(failure)
        target.note_registry(RegistryState(stale=True))
        assert world.orders[1][-1] == RemoveModel("team-a")
        world.fleet.on_event(1, ModelRemoved("team-a"))
        assert world.orders[1][-3:] == [
            AddModel("team-a", ""),
            NoteFailure("team-a", failure),
            NoteRegistry("team-a", RegistryState(stale=True)),
        ]

    async def test_the_end_does_not_wait_for_one_that_is_being_prepared(self, world: World) -> None:
        world.arrive(1)
        target = FleetTarget(world.fleet, "team-a", world.metrics)
        preparing = asyncio.create_task(target.prepare(v(1)))
        await settle()
        world.fleet.close()
        with pytest.raises(Closing):
            await preparing


async def test_a_fleet_is_ready_when_what_it_began_with_is_loaded(world: World) -> None:
    fleet = world.fleet
    fleet.expect(["m"], ["models:/x-*@production"], None)
    waiting = asyncio.create_task(fleet.until_ready())
    world.arrive(1)
    FleetTarget(fleet, "later", world.metrics)  # has no say in it
    await settle()
    assert fleet.waiting_for == ["m", "models:/x-*@production"]
    fleet.pattern_started("models:/x-*@production")
    await settle()
    assert (fleet.waiting_for, waiting.done()) == (["m"], False)
    await world.serve(1)
    await asyncio.wait_for(waiting, 10)
    assert fleet.waiting_for == []
