"""Following an alias: loads, swaps, reverts, and registries that go away."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from penstock.errors import AliasNotFound, ModelNotFound, ProofFailed, RegistryUnavailable, VersionNotFound
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import LocalTarget
from serving.fakes import in_a_thread, until
from serving.swap.follower_world import World, errors


async def test_the_first_version_is_loaded_once_and_answers(world: World) -> None:
    await world.follower.start()
    assert (world.answering, world.kept, world.loads) == ("1", None, ["1"])
    assert world.count("loads", outcome="ok") == 1
    await world.step()
    assert world.loads == ["1"]


async def test_the_first_load_may_fail(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.failing["1"] = ProofFailed("no")
    with pytest.raises(ProofFailed):
        await world.follower.start()
    assert world.answering is None
    assert world.count("loads", outcome="failed") == 1
    assert errors(caplog) == ["m: version 1 cannot be served, so the server does not start."]


async def test_an_alias_that_is_not_there_at_the_start_is_an_error(world: World) -> None:
    world.registry.remove_alias("m", "production", by="test")
    with pytest.raises(AliasNotFound):
        await world.follower.start()


async def test_a_promotion_is_loaded_and_swapped_to(world: World) -> None:
    await world.follower.start()
    world.promote("2")
    await world.follower.step()
    assert world.answering == "1"  # while the other one loads
    await world.step()
    assert (world.answering, world.kept) == ("2", "1")
    assert world.count("swaps", kind="swap") == 1


async def test_a_swap_is_timed_from_the_moment_that_the_registry_names_it(world: World) -> None:
    value = world.metrics.registry.get_sample_value
    await world.follower.start()
    world.held["2"] = Event()
    world.now += 50
    world.promote("2")
    await world.follower.step()
    world.now += 7
    world.held["2"].set()
    await world.step()
    assert world.answering == "2"
    assert value("penstock_swap_seconds_sum", {"model": "m"}) == 7
    world.registry.rollback("m", by="test")
    world.now += 3
    await world.step()
    assert value("penstock_swap_seconds_count", {"model": "m"}) == 2
    assert value("penstock_swap_seconds_sum", {"model": "m"}) == 7


async def test_a_roll_back_reverts_without_a_load(world: World) -> None:
    await world.follower.start()
    world.promote("2")
    await world.step()
    world.registry.rollback("m", by="test")
    await world.follower.step()  # one step is enough
    assert (world.answering, world.kept) == ("1", "2")
    assert world.loads == ["1", "2"]
    assert world.count("swaps", kind="revert") == 1
    world.promote("2")
    await world.follower.step()
    assert (world.answering, world.kept, world.loads) == ("2", "1", ["1", "2"])


async def test_a_superseded_load_is_dropped_and_closed(world: World) -> None:
    await world.follower.start()
    world.held["2"] = Event()
    world.promote("2")
    await world.follower.step()
    await until(lambda: "2" in world.loads)
    world.promote("3")
    await world.follower.step()
    assert world.loads == ["1", "2"]  # one at a time
    world.held["2"].set()
    await world.step()
    await until(lambda: world.predictors["2"][0].closed == 1)
    await world.step()
    assert (world.answering, world.kept, world.loads) == ("3", "1", ["1", "2", "3"])
    assert world.count("swaps", kind="swap") == 1


@pytest.mark.parametrize("gone", [AliasNotFound("no alias"), VersionNotFound("deleted"), ModelNotFound("deleted")])
async def test_a_load_is_dropped_when_the_registry_names_nothing_any_more(
    world: World, gone: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await world.follower.start()
    world.held["2"] = Event()
    world.promote("2")
    await world.follower.step()
    await until(lambda: "2" in world.loads)
    world.unreachable = gone
    await world.follower.step()
    world.held["2"].set()
    await world.step()
    assert (world.answering, world.kept) == ("1", None)
    await until(lambda: world.predictors["2"][0].closed == 1)
    assert "m: version 2 was no longer named while it loaded; it does not answer." in caplog.messages
    world.unreachable = None  # named once more: it is loaded again
    await world.step()
    assert (world.answering, world.loads) == ("2", ["1", "2", "2"])


async def test_a_load_goes_on_while_the_registry_does_not_answer(world: World) -> None:
    await world.follower.start()
    world.held["2"] = Event()
    world.promote("2")
    await world.follower.step()
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.follower.step()
    world.held["2"].set()
    await world.step()
    assert world.answering == "2"


async def test_a_failure_of_a_version_that_is_no_longer_named_is_not_shown(world: World) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    assert world.served.failure is not None
    world.registry.remove_alias("m", "production", by="test")
    await world.follower.step()
    assert world.served.failure is None
    assert world.answering == "1"


async def test_a_load_for_a_move_that_was_taken_back_is_dropped(world: World) -> None:
    await world.follower.start()
    world.held["2"] = Event()
    world.promote("2")
    await world.follower.step()
    world.registry.rollback("m", by="test")
    await world.follower.step()
    world.held["2"].set()
    await world.step()
    assert (world.answering, world.kept) == ("1", None)
    await until(lambda: world.predictors["2"][0].closed == 1)


async def test_a_revert_does_not_wait_for_a_load(world: World) -> None:
    await world.follower.start()
    world.promote("2")
    await world.step()
    world.held["3"] = Event()
    world.promote("3")
    await world.follower.step()
    world.promote("1")
    await world.follower.step()
    assert (world.answering, world.kept) == ("1", "2")
    world.held["3"].set()
    await world.step()
    assert world.answering == "1"
    await until(lambda: world.predictors["3"][0].closed == 1)


async def test_the_previous_version_goes_when_its_time_is_over(world: World) -> None:
    await world.follower.start()
    world.promote("2")
    await world.step()
    world.now += 299
    await world.step()
    assert world.kept == "1"
    world.now += 1
    await world.step()
    assert world.kept is None
    await until(lambda: world.predictors["1"][0].closed)
    world.registry.rollback("m", by="test")
    await world.step()
    assert (world.answering, world.loads) == ("1", ["1", "2", "1"])


async def test_the_previous_version_goes_in_time_while_the_next_one_keeps_failing(world: World) -> None:
    await world.follower.start()
    world.promote("2")
    await world.step()
    world.failing["3"] = ProofFailed("no")
    world.promote("3")
    await world.step()
    world.now += 301
    await world.step()
    assert (world.answering, world.kept) == ("2", None)


async def test_an_unreachable_registry_changes_nothing_and_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.follower.start()
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    for _ in range(5):
        await world.step()
    assert (world.answering, world.loads) == ("1", ["1"])
    assert world.count("registry_errors") == 5
    assert errors(caplog) == [
        "m: the registry cannot be queried; still serving version 1. It cannot be reached."
    ]  # fmt: skip
    world.unreachable = None
    world.promote("2")
    await world.step()
    assert world.answering == "2"
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.step()
    assert len(errors(caplog)) == 2  # a new outage is a new event


async def test_a_registry_that_names_no_version_has_answered(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def shown() -> tuple[str, str, bool, float]:
        said, missing = world.served.registry, world.metrics.alias_missing.labels("m")
        return said.state, said.code, said.stale, missing._value.get()

    await world.follower.start()
    assert shown() == ("ok", "", False, 0)
    world.registry.remove_alias("m", "production", by="test")
    await world.step()
    since = world.served.registry.since
    world.now += 3600
    await world.step()
    assert shown() == ("names_no_version", "alias_not_found", False, 1)  # however long ago: what answers is not stale
    assert world.served.registry.since == since > 0
    assert (world.answering, world.count("registry_errors")) == ("1", 0)
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.step()
    assert shown() == ("unreachable", "registry_unavailable", False, 0)
    world.now += 3600
    await world.step()
    assert shown() == ("unreachable", "registry_unavailable", True, 0)
    assert [line.partition("; ")[0] for line in errors(caplog)] == [
        "m: the registry names no version",
        "m: the registry cannot be queried",
    ]
    assert world.count("registry_errors") == 2
    world.unreachable = None
    world.promote("2")
    await world.step()
    assert (world.answering, shown()) == ("2", ("ok", "", False, 0))


async def test_a_model_that_waits_says_why(world: World) -> None:
    assert world.served.waits_because == "loading"
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.follower.start()
    assert world.served.waits_because == "registry_unavailable"
    world.unreachable = None
    world.failing["1"] = ProofFailed("no")
    await world.step()
    assert world.served.waits_because == "proof_failed"


async def test_the_registry_may_be_away_at_the_start(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.follower.start()
    await world.step()
    assert world.answering is None
    assert len(errors(caplog)) == 1
    world.unreachable = None
    await world.step()
    assert world.answering == "1"


@pytest.mark.parametrize("error", [AliasNotFound("The alias is gone."), OSError("a backend's own bug")])
async def test_following_outlives_whatever_the_registry_says(world: World, error: Exception) -> None:
    await world.follower.start()
    running = asyncio.create_task(world.follower.run())
    world.unreachable = error
    await until(lambda: world.served.registry.message == str(error))
    world.unreachable = None
    world.promote("2")
    await until(lambda: world.answering == "2")
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_load_that_ends_is_taken_up_before_the_next_poll(world: World) -> None:
    poll = RegistryPoll("m", world.resolve, world.metrics, interval=60)
    target = LocalTarget(world.served, world.metrics)
    follower = Follower(target, poll, in_a_thread(world.load), world.metrics)
    await follower.start()
    world.promote("2")
    await follower.step()
    running = asyncio.create_task(follower.run())
    await until(lambda: world.answering == "2", seconds=5)
    running.cancel()
    await asyncio.wait([running])


async def test_ending_waits_for_a_load_and_releases_it(world: World) -> None:
    await world.follower.start()
    world.held["2"] = Event()
    world.promote("2")
    running = asyncio.create_task(world.follower.run())
    await until(lambda: "2" in world.loads)
    running.cancel()
    await asyncio.sleep(0)
    world.held["2"].set()
    await asyncio.wait([running])
    assert world.answering == "1"
    await until(lambda: world.predictors["2"][0].closed == 1)


async def test_a_follower_describes_itself(world: World) -> None:
    await world.follower.start()
    assert repr(world.follower).startswith("<Follower of 'production': Snapshot(wanted='1', current='1'")
