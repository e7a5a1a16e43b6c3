"""A model whose settings change while its fleet serves: the same version is loaded anew by all, then answers in all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from penstock.errors import ProofFailed
from penstock.serving.fleet.fleet_target import FleetTarget, FleetVersion
from penstock.serving.fleet.messages import (
    AddModel,
    ExpectModels,
    PrepareVersion,
    RemoveModel,
    SetVersions,
    VersionFailed,
    VersionProven,
)
from serving.fakes import settle
from serving.fleet.fleet_world import World, v


class Rebuilt:
    """The model `m`, in version 1 by its first settings, with a source that has others."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.target = FleetTarget(world.fleet, "m", world.metrics, alias="canary")
        self.plan = replace(v(1), revision=self.target.revision, alias="canary", settings={"max_rows": 5})

    async def prepare(self) -> FleetVersion:
        return await self.target.prepare(self.plan)

    def last(self, number: int, kind: type) -> Any:
        return [order for order in self.world.orders[number] if isinstance(order, kind)][-1]


@pytest.fixture
async def rebuilt(world: World) -> Rebuilt:
    world.arrive(1, 2)
    await world.serve(1)
    world.orders = {1: [], 2: []}
    for number in (1, 2):
        world.fleet._members[number].send = world.orders[number].append
    return Rebuilt(world)


async def test_a_source_that_takes_over_begins_with_nothing_of_its_own(rebuilt: Rebuilt) -> None:
    target = rebuilt.target
    assert (target.current, target.previous, target.answering) == (None, None, "1")
    assert rebuilt.world.orders == {1: [], 2: []}  # nothing happens before it has something better


async def test_the_same_version_is_loaded_by_its_new_settings_and_answers_in_all_at_once(rebuilt: Rebuilt) -> None:
    world = rebuilt.world

    preparing = asyncio.create_task(rebuilt.prepare())
    await settle()
    assert rebuilt.last(1, PrepareVersion) == PrepareVersion(
        "m", "1", "/packages/1", "1" * 64, 1, "canary", {"max_rows": 5}
    )
    world.proven(1, "1+1")
    await settle()
    assert world.orders[2][-1].build == "1+1"  # type: ignore[union-attr]
    assert not preparing.done()
    world.proven(2, "1+1")
    rebuilt.target.swap(await preparing)
    for number in (1, 2):
        assert rebuilt.last(number, SetVersions) == SetVersions("m", "1+1", None, None)
    assert (rebuilt.target.current, rebuilt.target.previous) == ("1", None)


async def test_settings_that_a_version_cannot_be_loaded_by_change_nothing(rebuilt: Rebuilt) -> None:

    preparing = asyncio.create_task(rebuilt.prepare())
    await settle()
    rebuilt.world.fleet.on_event(1, VersionFailed("m", "1+1", ProofFailed.code, "no", ""))
    with pytest.raises(ProofFailed):
        await preparing
    assert (rebuilt.target.current, rebuilt.target.answering) == (None, "1")
    assert rebuilt.world.fleet.plan("m").served == ("1", None)


async def test_a_worker_that_starts_meanwhile_loads_both_by_their_own_settings(rebuilt: Rebuilt) -> None:
    world = rebuilt.world

    def prepared(number: int) -> list[tuple[int, Any]]:
        return [(o.revision, o.settings) for o in world.orders[number] if isinstance(o, PrepareVersion)]

    preparing = asyncio.create_task(rebuilt.prepare())
    await settle()
    world.fleet.remove_worker(2, "was killed")  # while the other one tries first
    world.arrive(2)
    assert prepared(2) == [(0, {})]
    world.fleet.on_event(2, VersionProven("m", "1"))
    world.proven(1, "1+1")
    assert prepared(2) == [(0, {}), (1, {"max_rows": 5})]
    world.proven(2, "1+1")
    rebuilt.target.swap(await preparing)
    world.arrive(3)
    assert rebuilt.last(3, AddModel) == AddModel("m", "canary")
    assert prepared(3) == [(1, {"max_rows": 5})]


async def test_once_the_fleet_was_ready_a_new_worker_waits_for_what_the_others_have(world: World) -> None:
    world.arrive(1)
    await world.serve(1)
    world.fleet.expect(["m", "later"], ["x-*"], None)
    FleetTarget(world.fleet, "later", world.metrics)
    world.arrive(2)
    assert world.orders[2][0] == ExpectModels(["m"], [], None)
    world.fleet.remove_model("m")
    assert world.orders[2][-2:] == [ExpectModels([], [], None), RemoveModel("m")]
