"""A served model whose versions are prepared and set as the supervisor commands."""

from __future__ import annotations

import asyncio
import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Closing, ModelProcessLost, ProofFailed, SealBroken
from penstock.loading import LoadedModel
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.serving.fleet.messages import PrepareVersion, SetVersions
from penstock.serving.fleet.worker_models import VersionLoading, WorkerModel
from penstock.serving.servable import ServingOptions, State
from penstock.serving.served_model import ServedModel
from serving.fakes import FakePredictor, loaded, until


class World:
    def __init__(self, package: Path) -> None:
        self.package = package
        self.digest = PackagedModel.open(package).digest
        self.loads: list[str] = []
        self.predictors: dict[str, FakePredictor] = {}
        self.fail: Exception | None = None
        self.metrics = metrics = Metrics(process=False)
        self.served = ServedModel("m", metrics)
        self.model = WorkerModel(self.served, lambda _: VersionLoading(self.load, ServingOptions()), metrics)

    def load(self, place: Path, version: str) -> LoadedModel:
        path = str(place)
        self.loads.append(path)
        if self.fail:
            raise self.fail
        self.predictors[path] = FakePredictor()
        return loaded(self.package, self.predictors[path])

    def version(self, number: str) -> PrepareVersion:
        return PrepareVersion("m", number, number, self.digest)

    async def prepare(self, *numbers: str) -> None:
        for number in numbers:
            await self.model.prepare(self.version(number))

    def set_versions(self, current: str | None, previous: str | None, candidate: str | None) -> None:
        self.model.set_versions(SetVersions("m", current, previous, candidate))

    @property
    def state(self) -> tuple[str | None, str | None]:
        current, previous = self.served.current, self.served.previous
        return (current.version if current else None, previous.version if previous else None)


@pytest.fixture
async def world(identity_onnx_package: Path) -> Any:
    made = World(identity_onnx_package)
    yield made
    made.model.close()
    await made.served.close()
    await until(lambda: all(p.closed == 1 for p in made.predictors.values()))


async def test_a_version_answers_once_it_is_set(world: World) -> None:
    await world.prepare("1")
    assert world.state == (None, None)
    world.set_versions("1", None, None)
    assert world.state == ("1", None)
    await world.prepare("2")
    assert world.state == ("1", None)
    assert "waiting ['2']" in repr(world.model)
    world.set_versions("2", "1", None)
    assert world.state == ("2", "1")
    world.set_versions("1", "2", None)
    assert world.state == ("1", "2")
    world.set_versions("1", None, None)
    assert world.state == ("1", None)
    await until(lambda: world.predictors["2"].closed)


async def test_the_same_command_twice_does_nothing(world: World) -> None:
    await world.prepare("1", "2")
    world.set_versions("2", "1", None)
    before = world.served.versions
    world.set_versions("2", "1", None)
    assert world.served.versions == before


async def test_what_is_here_is_not_loaded_again(world: World) -> None:
    await world.prepare("1", "1")
    world.set_versions("1", None, None)
    await world.prepare("1")
    assert world.loads == ["1"]


async def test_a_candidate_is_kept_until_it_is_given_up(world: World) -> None:
    await world.prepare("1", "2")
    world.set_versions("1", None, "2")
    assert not world.predictors["2"].closed
    world.set_versions("1", None, None)
    await until(lambda: world.predictors["2"].closed == 1)
    assert world.state == ("1", None)


async def test_a_failed_load_is_raised_and_leaves_nothing(world: World) -> None:
    world.fail = ProofFailed("no")
    with pytest.raises(ProofFailed):
        await world.prepare("1")
    world.set_versions(None, None, None)
    assert world.state == (None, None)


async def test_another_package_in_the_same_place_is_refused(world: World) -> None:
    with pytest.raises(SealBroken, match="is now another package"):
        await world.model.prepare(replace(world.version("1"), digest="0" * 64))
    assert world.predictors["1"].closed == 1


async def test_every_change_of_two_versions_can_be_set(identity_onnx_package: Path) -> None:
    """From nothing or any pair to any pair, once what is named is here: no step needs another one between."""
    pairs: list[tuple[str | None, str | None]] = [(a, b) for a, b in itertools.product("123", (None, *"123")) if a != b]
    for before, after in itertools.product([(None, None), *pairs], pairs):
        world = World(identity_onnx_package)
        for pair in (before, after):
            await world.prepare(*(version for version in pair if version))
            current, previous = pair
            world.set_versions(current, previous, None)
            assert world.state == pair, (before, after)
        world.model.close()
        await world.served.close()
        await until(lambda: all(p.closed == 1 for p in world.predictors.values()))  # noqa: B023  (awaited here)


class Stopped:
    """Remembers its calls, and makes the load that waits for it fail."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.calls: list[bool] = []

    def stop(self, *, for_good: bool = False) -> None:
        self.calls.append(for_good)
        self.stopped.set()

    def load(self, place: Path, version: str) -> LoadedModel:
        assert self.stopped.wait(10)
        raise ModelProcessLost("The model process was ended.")


@pytest.mark.parametrize(
    ("end", "raised", "for_good"),
    [(WorkerModel.cancel_load, ModelProcessLost, False), (WorkerModel.close, Closing, True)],
)
async def test_a_load_that_is_cancelled_ends_and_says_why(world: World, end: Any, raised: Any, for_good: bool) -> None:
    loads = Stopped()
    loading = VersionLoading(loads.load, ServingOptions(), loads)
    model = WorkerModel(world.served, lambda _: loading, Metrics(process=False))
    asking = asyncio.ensure_future(model.prepare(world.version("1")))
    await asyncio.sleep(0)
    end(model)
    with pytest.raises(raised):
        await asking
    assert loads.calls == [for_good]


async def test_a_version_is_loaded_again_by_new_settings_and_takes_its_own_place(world: World) -> None:
    given: list[dict[str, Any]] = []

    def loading(settings: Any) -> VersionLoading:
        given.append(dict(settings))
        return VersionLoading(world.load, ServingOptions(max_queue_rows=settings.get("max_queue_rows", 7)))

    model = WorkerModel(world.served, loading, world.metrics)
    order = world.version("1")
    await model.prepare(order)
    model.set_versions(SetVersions("m", "1", None, None))
    world.served.note_agreed("1")
    before = world.served.current
    again = replace(order, revision=1, alias="canary", settings={"max_queue_rows": 9})
    await model.prepare(again)
    await model.prepare(again)  # it is there already
    assert (given, world.served.current) == ([{}, {"max_queue_rows": 9}], before)
    model.set_versions(SetVersions("m", "1+1", None, None))
    after = world.served.current
    assert after is not None
    assert after is not before
    assert (after.version, world.served.previous, world.served.alias) == ("1", None, "canary")
    assert after.metrics.queue_limit_rows.value == 9
    assert not world.served.settled  # the others may still answer by the settings before
    await until(lambda: before is not None and before.state is State.CLOSED)
    model.close()
