"""The workers as one: a version is prepared in all, then answers in all."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Closing, ProofFailed
from penstock.serving.fleet.fleet_target import FleetVersion
from penstock.serving.fleet.messages import (
    CancelLoad,
    NoteRegistry,
    SetVersions,
)
from penstock.serving.served_model import RegistryState
from serving.fakes import settle
from serving.fleet.fleet_world import World


async def test_the_first_version_is_loaded_by_all_at_once_and_answers_in_all_at_once(world: World) -> None:
    world.arrive(1, 2, 3)
    assert world.joins == [1, 2, 3]  # there is nothing yet that they could differ in
    preparing = world.prepare(1)
    await settle()
    assert [world.preparing(n) for n in (1, 2, 3)] == ["1", "1", "1"]
    world.proven(1, 1)
    world.proven(3, 1)
    await settle()
    assert not preparing.done()
    world.proven(2, 1)
    prepared = await preparing
    assert [world.served(n) for n in (1, 2, 3)] == [None, None, None]
    world.target.swap(prepared)
    assert [world.served(n) for n in (1, 2, 3)] == [("1", None)] * 3
    assert (world.target.current, world.target.previous) == ("1", None)
    assert world.metrics.registry.get_sample_value("penstock_swaps_total", {"model": "m", "kind": "load"}) == 1


async def test_a_later_version_is_tried_by_one_worker_first(world: World) -> None:
    world.arrive(1, 2, 3)
    await world.serve(1)
    preparing = world.prepare(2)
    await settle()
    assert [world.preparing(n) for n in (1, 2, 3)] == ["2", None, None]
    world.proven(1, 2)
    assert [world.preparing(n) for n in (2, 3)] == ["2", "2"]
    world.proven(2, 2)
    world.proven(3, 2)
    world.target.swap(await preparing)
    assert [world.served(n) for n in (1, 2, 3)] == [("2", "1")] * 3


async def test_a_version_that_fails_in_one_worker_stops_for_all(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    preparing = world.prepare(2)
    await settle()
    world.proven(1, 2)
    world.failed(2, 2)
    with pytest.raises(ProofFailed, match="worker 2 says no"):
        await preparing
    assert [world.served(n) for n in (1, 2)] == [("1", None)] * 2
    assert world.orders[1][-1] == SetVersions("m", "1", None, None)  # which drops the one that was proven
    assert world.target.current == "1"
    again = world.prepare(2)
    await settle()
    assert world.preparing(1) == "2"
    for number in (1, 2):
        world.proven(number, 2)
    await again


async def test_a_roll_back_to_the_warm_version_is_one_message(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    await world.serve(2)
    before = {n: len(orders) for n, orders in world.orders.items()}
    world.target.revert()
    assert {n: orders[before[n] :] for n, orders in world.orders.items()} == {
        n: [SetVersions("m", "1", "2", None)] for n in (1, 2)
    }
    world.target.retire_previous()
    assert [world.served(n) for n in (1, 2)] == [("1", None)] * 2


async def test_a_roll_back_does_not_wait_for_a_load(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    await world.serve(2)
    preparing = world.prepare(3)
    await settle()
    assert world.preparing(1) == "3"
    world.target.revert()
    assert [world.served(n) for n in (1, 2)] == [("1", "2")] * 2
    world.proven(1, 3)
    world.proven(2, 3)
    (await preparing).drop()  # superseded
    assert all(orders[-1] == SetVersions("m", "1", "2", None) for orders in world.orders.values())


async def test_a_late_answer_for_a_version_that_was_given_up_drops_it(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    preparing = world.prepare(2)
    await settle()
    world.proven(1, 2)
    world.failed(2, 2)
    with pytest.raises(ProofFailed):
        await preparing
    other = world.prepare(3)
    await settle()
    assert world.preparing(1) == "3"
    world.failed(1, 3)
    with pytest.raises(ProofFailed):
        await other
    world.failed(1, 3)  # nobody asks any more: no harm
    assert world.target.current == "1"


async def test_another_version_does_not_wait_for_one_that_loads(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    preparing = world.prepare(2)
    await settle()
    world.target.stop()
    with pytest.raises(Closing, match="no longer names this version"):
        await preparing
    assert world.orders[1][-1] == CancelLoad("m")
    assert CancelLoad("m") not in world.orders[2]  # it was not asked yet
    other = world.prepare(3)
    await settle()
    assert world.preparing(1) is None  # one load at a time
    assert world.preparing(2) == "3"
    world.failed(1, 2)  # the load has ended
    assert world.preparing(1) is None  # another one tries first
    world.proven(2, 3)
    assert world.preparing(1) == "3"
    world.proven(1, 3)
    world.target.swap(await other)
    assert [world.served(n) for n in (1, 2)] == [("3", "1")] * 2
    world.target.stop()  # nothing loads: no harm
    assert world.target.current == "3"


async def test_closing_ends_the_wait(world: World) -> None:
    world.arrive(1)
    preparing = world.prepare(1)
    await settle()
    world.fleet.close()
    with pytest.raises(Closing):
        await preparing


@given(st.lists(st.tuples(st.sampled_from(["arrive", "leave", "prove", "fail", "promote", "revert", "retire"]),
                          st.integers(1, 3)), max_size=60))  # fmt: skip
def test_workers_that_answer_never_differ(events: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, every worker that answers requests serves the same, which is the plan."""

    async def play() -> None:
        world = World(3)
        preparing: asyncio.Task[FleetVersion] | None = None
        newest = 0
        for event, number in events:
            here = number in world.orders
            asked = here and world.fleet._members[number].held["m"].loading
            if event == "arrive" and not here:
                world.arrive(number)
            elif event == "leave" and here:
                world.fleet.remove_worker(number, "ended")
                del world.orders[number]
            elif event == "prove" and asked:
                world.proven(number, asked)
            elif event == "fail" and asked:
                world.failed(number, asked)
                if world.unfits:
                    world.unfits.clear()
                    world.fleet.remove_worker(number, "was unfit")
                    del world.orders[number]
            elif event == "promote" and preparing is None:
                newest += 1
                preparing = world.prepare(newest)
            elif event == "revert" and world.target.previous is not None:
                world.target.revert()
            elif event == "retire":
                world.target.retire_previous()
            await settle(5)
            if preparing is not None and preparing.done():
                if preparing.exception() is None:
                    assert world.fleet.joined
                    world.target.swap(preparing.result())
                preparing = None
            plan = world.fleet.plan("m")
            for joined in world.fleet.joined:
                assert (world.served(joined) or (None, None)) == plan.served
                assert set(plan.served) - {None} <= world.fleet._members[joined].held["m"].proven
        world.fleet.close()
        if preparing is not None:
            await asyncio.gather(preparing, return_exceptions=True)

    asyncio.run(play())


async def test_every_worker_knows_what_the_registry_said() -> None:
    world = World(2)
    world.arrive(1)
    said = RegistryState("unreachable", True, "registry_unavailable", "It cannot be reached.", 3.0)
    world.target.note_registry(RegistryState())
    world.target.note_registry(said)
    world.target.note_registry(said)
    world.arrive(2)
    world.target.note_registry(RegistryState())
    world.arrive(3)
    notes = {n: [order for order in world.orders[n] if isinstance(order, NoteRegistry)] for n in (1, 2, 3)}
    both = [NoteRegistry("m", said), NoteRegistry("m", RegistryState())]
    assert notes == {1: both, 2: both, 3: []}
