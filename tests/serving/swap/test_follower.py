"""Following an alias: loads, swaps, reverts, failures, and registries that go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from penstock.errors import AliasNotFound, PenstockError, ProofFailed, RegistryUnavailable
from penstock.loading import LoadedModel
from penstock.metrics import Metrics
from penstock.registry import ModelVersion, NewVersion
from penstock.registry.memory import MemoryRegistry
from penstock.registry.resolutions import LastResolution
from penstock.serving.model_events import IgnoredEvents
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.fixed_version import FixedVersion
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import LoadedVersion, LocalTarget, in_a_thread
from serving.fakes import FakePredictor, loaded, until


class World(IgnoredEvents):
    """A registry with five versions of `m`, a follower of its production alias, a clock that is set by hand."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.registry = MemoryRegistry()
        for _ in range(5):
            self.registry.register("m", NewVersion("m/package"))
        self.promote("1")
        self.metrics = Metrics(process=False)
        self.served = ServedModel("m", self.metrics, alias="production", events=self)
        self.now = 1000.0
        self.loads: list[str] = []
        self.predictors: dict[str, list[FakePredictor]] = {}
        self.failing: dict[str, Exception] = {}
        self.held: dict[str, Event] = {}
        self.unreachable: Exception | None = None
        self.follower = self.make_follower(interval=0.005)

    def make_follower(self, *, interval: float, last: LastResolution | None = None) -> Follower[LoadedVersion]:
        given: Any = {"clock": lambda: self.now, "chance": lambda: 1.0}
        poll = RegistryPoll("m", self.resolve, self.metrics, interval=interval, last=last, **given)
        target = LocalTarget(self.served, self.metrics)
        return Follower(target, poll, in_a_thread(self.load), self.metrics, keep_previous=300, **given)

    def on_failed(self, model: str, version: str, reason: str) -> None:
        self.follower.give_up(model, version, reason)

    def promote(self, version: str) -> None:
        self.registry.promote("m", version, by="test")

    def resolve(self) -> ModelVersion:
        if self.unreachable is not None:
            raise self.unreachable
        return self.registry.resolve("m")

    def load(self, version: ModelVersion) -> LoadedModel:
        number = version.version
        self.loads.append(number)
        if number in self.held:
            assert self.held[number].wait(10)
        if number in self.failing:
            raise self.failing[number]
        self.predictors.setdefault(number, []).append(predictor := FakePredictor())
        return loaded(self.package, predictor)

    @property
    def answering(self) -> str | None:
        return self.served.current.version if self.served.current else None

    @property
    def kept(self) -> str | None:
        return self.served.previous.version if self.served.previous else None

    async def step(self) -> None:
        """One poll, and another one when the load that it began has ended."""
        await self.follower.step()
        if self.follower._loading is not None:
            await asyncio.wait([self.follower._loading[1]])
            await self.follower.step()

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"penstock_{name}_total", {"model": "m", **labels}) or 0


@pytest.fixture
async def world(identity_onnx_package: Path) -> Any:
    made = World(identity_onnx_package)
    yield made
    for event in made.held.values():
        event.set()
    await made.follower._abandon_load()
    await made.served.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


async def test_the_first_version_is_loaded_once_and_answers(world: World) -> None:
    await world.follower.start()
    assert (world.answering, world.kept, world.loads) == ("1", None, ["1"])
    assert world.count("loads", outcome="ok") == 1
    await world.step()
    assert world.loads == ["1"]


async def test_the_first_load_may_fail(world: World) -> None:
    world.failing["1"] = ProofFailed("no")
    with pytest.raises(ProofFailed):
        await world.follower.start()
    assert world.answering is None
    assert world.count("loads", outcome="failed") == 1


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


async def test_a_swap_that_fails_is_seen_as_long_as_it_does(world: World) -> None:
    def failing() -> float | None:
        return world.metrics.registry.get_sample_value("penstock_swap_failing", {"model": "m"})

    await world.follower.start()
    assert failing() == 0
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    assert failing() == 1
    world.now += 0.1  # not tried again yet
    await world.step()
    assert failing() == 1
    world.promote("1")
    await world.step()
    assert failing() == 0
    world.promote("2")
    world.now += 100
    await world.step()
    assert failing() == 1
    del world.failing["2"]
    world.now += 100
    await world.step()
    assert (failing(), world.answering) == (0, "2")


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


async def test_a_failed_load_keeps_what_answers_and_is_tried_again_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("It answers otherwise.")
    world.promote("2")
    await world.step()
    assert (world.answering, world.loads) == ("1", ["1", "2"])
    assert world.count("loads", outcome="failed") == 1
    assert errors(caplog) == ["m: version 2 cannot be served; still serving version 1. It answers otherwise."]
    assert caplog.records[-1].exc_info is None
    tries = []
    for _ in range(40):  # seconds
        world.now += 1
        before = len(world.loads)
        await world.step()
        tries += [world.now - 1000] * (len(world.loads) - before)
    assert tries == [1, 3, 7, 15, 31]
    del world.failing["2"]
    world.now += 60
    await world.step()
    assert (world.answering, world.kept) == ("2", "1")


async def test_a_load_that_fails_in_a_foreign_way_is_logged_with_its_traceback(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.follower.start()
    world.failing["2"] = ZeroDivisionError("oh")
    world.promote("2")
    await world.step()
    assert world.answering == "1"
    assert caplog.records[-1].exc_info is not None


async def test_another_version_does_not_wait_for_the_back_off_of_a_failed_one(world: World) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    world.promote("3")
    await world.step()
    assert world.answering == "3"


async def test_a_move_back_after_a_failure_loads_nothing(world: World) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    world.promote("1")
    world.now += 1000
    await world.step()
    assert (world.answering, world.loads) == ("1", ["1", "2"])


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
        "m: the registry names no version; still serving version 1. It cannot be reached."
    ]  # fmt: skip
    world.unreachable = None
    world.promote("2")
    await world.step()
    assert world.answering == "2"
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.step()
    assert len(errors(caplog)) == 2  # a new outage is a new event


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
    await until(lambda: world.count("registry_errors") > 2)
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


class TestPinned:
    @pytest.fixture
    def pinned(self, world: World) -> Callable[[Callable[[], tuple[str, LoadedModel]]], FixedVersion[LoadedVersion]]:
        async def in_a_thread(load: Callable[[], tuple[str, LoadedModel]]) -> LoadedVersion:
            return LoadedVersion(*await asyncio.to_thread(load))

        target = LocalTarget(world.served, world.metrics)
        return lambda load: FixedVersion(target, partial(in_a_thread, load), world.metrics)

    async def test_a_fixed_version_is_loaded_once(self, world: World, pinned: Any) -> None:
        source = pinned(lambda: ("abc", loaded(world.package)))
        await source.start()
        await source.run()
        assert world.answering == "abc"
        assert world.count("loads", outcome="ok") == 1

    async def test_a_failure_of_a_fixed_version_is_raised_and_counted(self, world: World, pinned: Any) -> None:
        def fail() -> tuple[str, LoadedModel]:
            raise ProofFailed("no")

        with pytest.raises(PenstockError):
            await pinned(fail).start()
        assert world.count("loads", outcome="failed") == 1


class TestAVersionThatFailsWhileItAnswers:
    async def test_the_version_before_it_takes_over_and_stays(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("2", "was killed by signal 11 (SIGSEGV)")
        assert (world.answering, world.kept) == ("1", None)
        assert world.count("swaps", kind="revert") == 1
        (line,) = errors(caplog)
        assert line.startswith("m: version 2 failed; back to version 1. Its process was killed by signal 11 (SIGSEGV).")
        world.now += 1e6
        await world.step()
        assert (world.answering, world.loads) == ("1", ["1", "2"])
        await until(lambda: world.predictors["2"][0].closed)

    async def test_another_promotion_is_followed(self, world: World) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("2", "ended")
        world.promote("3")
        await world.step()
        assert world.answering == "3"

    async def test_a_failed_version_is_tried_again_when_it_is_named_again(self, world: World) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("2", "ended")
        world.promote("1")
        await world.step()
        world.promote("2")
        await world.step()
        assert world.answering == "2"

    async def test_a_failed_version_goes_on_where_no_other_is_warm(self, world: World) -> None:
        await world.follower.start()
        world.served.version_failed("1", "ended")
        await world.step()
        assert (world.answering, world.loads) == ("1", ["1"])

    async def test_a_failure_of_the_warm_version_changes_nothing(self, world: World) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("1", "ended")
        assert (world.answering, world.kept) == ("2", "1")
