"""The workers as one: prepared in all, then answering in all; and those that fail, die and come back."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Closing, PenstockError, ProofFailed, WorkerLost
from penstock.metrics import Metrics
from penstock.serving.fleet.fleet_plan import PlannedVersion
from penstock.serving.fleet.fleet_target import FleetTarget, FleetVersion
from penstock.serving.fleet.messages import (
    CancelLoad,
    Command,
    MarkStale,
    PrepareVersion,
    SetVersions,
    VersionCrashed,
    VersionFailed,
    VersionProven,
)
from penstock.serving.fleet.worker_fleet import WorkerFleet
from serving.fakes import settle


def v(number: int | str) -> PlannedVersion:
    return PlannedVersion(str(number), f"/packages/{number}", str(number) * 64)


class World:
    """A fleet for the model `m`; workers that remember their commands, and do nothing by themselves."""

    def __init__(self, size: int = 2) -> None:
        self.fleet = WorkerFleet(size, self)
        self.metrics = Metrics(process=False)
        self.target = FleetTarget(self.fleet, "m", self.metrics, alias="production")
        self.orders: dict[int, list[Command]] = {}
        self.joins: list[int] = []
        self.unfits: list[tuple[int, str]] = []
        self.crashes: list[tuple[str, str, str]] = []

    def on_joined(self, number: int) -> None:
        self.joins.append(number)

    def on_crashed(self, model: str, version: str, reason: str) -> None:
        self.crashes.append((model, version, reason))

    def on_unfit(self, number: int, error: PenstockError) -> None:
        self.unfits.append((number, error.message))

    def arrive(self, *numbers: int) -> None:
        for number in numbers:
            self.orders[number] = []
            self.fleet.add_worker(number, self.orders[number].append)

    def preparing(self, number: int) -> str | None:
        """The version that the worker prepares, if that was its last order."""
        last = self.orders[number][-1:]
        return last[0].version if last and isinstance(last[0], PrepareVersion) else None

    def served(self, number: int) -> tuple[str | None, str | None] | None:
        orders = [order for order in self.orders[number] if isinstance(order, SetVersions)]
        return (orders[-1].current, orders[-1].previous) if orders else None

    def proven(self, number: int, version: int | str) -> None:
        self.fleet.on_event(number, VersionProven("m", str(version)))

    def failed(self, number: int, version: int | str) -> None:
        self.fleet.on_event(number, VersionFailed("m", str(version), ProofFailed.code, f"worker {number} says no", ""))

    def prepare(self, version: int | str) -> asyncio.Task[FleetVersion]:
        return asyncio.create_task(self.target.prepare(v(version)))

    async def serve(self, version: int | str) -> None:
        """All that is here proves this version, and answers with it."""
        preparing = self.prepare(version)
        await settle()
        for _ in self.orders:  # one tries first
            for number in self.orders:
                if self.preparing(number) == str(version):
                    self.proven(number, version)
                    self.orders[number].append(SetVersions("m", *(self.served(number) or (None, None)), str(version)))
        self.target.swap(await preparing)


@pytest.fixture
async def world() -> Any:
    made = World()
    yield made
    made.fleet.close()


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


async def test_a_package_that_kills_takes_one_worker_with_it(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    preparing = world.prepare(2)
    await settle()
    assert world.fleet.remove_worker(1, "was killed by signal 9 (SIGKILL)")
    with pytest.raises(WorkerLost, match=r"Worker 1 was killed by signal 9 .* while it loaded version 2 of m"):
        await preparing
    assert world.preparing(2) is None
    assert world.fleet.joined == [2]
    world.arrive(1)
    assert world.preparing(1) == "1"  # and not the one that killed it
    world.proven(1, 1)
    assert world.fleet.joined == [1, 2]


async def test_a_package_that_killed_is_tried_again_when_all_are_back(world: World) -> None:
    """Else every try would take another worker, until none is left."""
    world.arrive(1, 2)
    await world.serve(1)
    for version in (3, 4):
        preparing = world.prepare(2)
        await settle()
        (victim,) = [number for number in (1, 2) if world.preparing(number) == "2"]
        world.fleet.remove_worker(victim, "was killed")
        del world.orders[victim]
        with pytest.raises(WorkerLost, match="was killed"):
            await preparing
        with pytest.raises(WorkerLost, match="tried again when all serve"):
            await world.prepare(2)
        assert world.preparing(3 - victim) is None
        await world.serve(version)  # others go on
        world.arrive(victim)
        for _ in range(2):
            world.proven(victim, world.preparing(victim) or "")
        assert world.fleet.joined == [1, 2]
    again = world.prepare(2)
    await settle()
    world.proven(1, 2)
    world.proven(2, 2)
    await again


async def test_a_worker_that_dies_of_something_else_holds_nothing_up(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    preparing = world.prepare(2)
    await settle()
    world.proven(1, 2)
    world.proven(2, 2)
    assert not world.fleet.remove_worker(2, "ended")
    world.target.swap(await preparing)
    assert world.served(1) == ("2", "1")


async def test_a_wait_ends_when_the_last_missing_worker_leaves(world: World) -> None:
    """Worker 3 has been asked for nothing yet, since 1 tries first."""
    world.arrive(1, 2, 3)
    await world.serve(1)
    preparing = world.prepare(2)
    await settle()
    assert not world.fleet.remove_worker(3, "ended")
    world.proven(1, 2)
    world.proven(2, 2)
    await preparing


async def test_a_worker_that_comes_back_answers_once_it_does_what_the_others_do(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    await world.serve(2)
    world.fleet.remove_worker(2, "ended")
    world.arrive(2)
    assert world.preparing(2) == "2"
    world.proven(2, 2)
    assert world.preparing(2) == "1"
    assert world.fleet.joined == [1]
    world.proven(2, 1)
    assert world.served(2) == ("2", "1")
    assert world.fleet.joined == [1, 2]
    assert world.joins == [1, 2, 2]


async def test_a_worker_that_catches_up_is_not_waited_for(world: World) -> None:
    """And joins with the version that became current meanwhile."""
    world.arrive(1, 2)
    await world.serve(1)
    world.fleet.remove_worker(2, "ended")
    world.arrive(2)
    preparing = world.prepare(2)
    await settle()
    world.proven(1, 2)
    prepared = await preparing
    world.proven(2, 1)  # at this moment: it knows what answers, and not what will
    assert world.fleet.joined == [1]
    world.target.swap(prepared)
    assert world.served(1) == ("2", "1")
    assert world.preparing(2) == "2"
    world.proven(2, 2)
    assert world.served(2) == ("2", "1")
    assert world.fleet.joined == [1, 2]


async def test_a_worker_that_cannot_load_what_the_others_serve_is_unfit(world: World) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    world.fleet.remove_worker(2, "ended")
    world.arrive(2)
    world.failed(2, 1)
    assert world.unfits == [(2, "worker 2 says no")]
    assert world.target.current == "1"


async def test_a_warm_version_that_cannot_be_loaded_again_goes_everywhere(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.arrive(1, 2)
    await world.serve(1)
    await world.serve(2)
    world.fleet.remove_worker(2, "ended")
    world.arrive(2)
    world.proven(2, 2)
    with caplog.at_level(logging.WARNING):
        world.failed(2, 1)
    assert "version 1 cannot be kept warm any more" in caplog.text
    assert [world.served(n) for n in (1, 2)] == [("2", None)] * 2
    assert world.fleet.joined == [1, 2]
    assert world.target.previous is None


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
    with pytest.raises(Closing, match="Another version is wanted"):
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


async def test_every_worker_knows_what_may_be_stale() -> None:
    world = World(2)
    world.arrive(1)
    world.target.mark(stale=False)
    world.target.mark(stale=True)
    world.target.mark(stale=True)
    world.arrive(2)
    assert world.orders == {1: [MarkStale("m", True)], 2: [MarkStale("m", True)]}
    world.target.mark(stale=False)
    world.arrive(3)
    assert world.orders == {
        1: [MarkStale("m", True), MarkStale("m", False)],
        2: [MarkStale("m", True), MarkStale("m", False)],
        3: [],
    }


async def test_a_version_that_crashes_in_one_worker_is_reported_and_goes_back_in_all(world: World) -> None:
    """One worker's processes are enough to judge a version by."""
    world.arrive(1, 2)
    await world.serve(1)
    await world.serve(2)
    assert (world.served(1), world.served(2)) == (("2", "1"), ("2", "1"))
    world.fleet.on_event(1, VersionCrashed("m", "2", "ended with code 3"))
    assert world.crashes == [("m", "2", "ended with code 3")]
    world.target.revert()
    world.target.retire_previous()
    assert (world.served(1), world.served(2)) == (("1", None), ("1", None))
    assert world.unfits == []
