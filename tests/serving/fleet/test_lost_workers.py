"""Workers that die, come back, and cannot load what the others serve."""

from __future__ import annotations

import logging

import pytest

from penstock.errors import WorkerLost
from penstock.serving.fleet.messages import (
    VersionCrashed,
)
from serving.fakes import settle
from serving.fleet.fleet_world import World


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
        with pytest.raises(WorkerLost, match="tries the version again when all workers serve"):
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
    assert "version 1 can no longer be kept loaded" in caplog.text
    assert [world.served(n) for n in (1, 2)] == [("2", None)] * 2
    assert world.fleet.joined == [1, 2]
    assert world.target.previous is None


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
