"""A served model that does what it is told."""

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
from penstock.serving.fleet.fleet_plan import PlannedVersion
from penstock.serving.fleet.worker_model import WorkerModel
from penstock.serving.servable import ServingOptions
from penstock.serving.served_model import ServedModel
from serving.fakes import FakePredictor, loaded, until


class World:
    def __init__(self, package: Path) -> None:
        self.package = package
        self.digest = PackagedModel.open(package).digest
        self.loads: list[str] = []
        self.predictors: dict[str, FakePredictor] = {}
        self.fail: Exception | None = None
        metrics = Metrics(process=False)
        self.served = ServedModel("m", metrics)
        self.model = WorkerModel(self.served, self.load, metrics, ServingOptions())

    def load(self, place: Path, version: str) -> LoadedModel:
        path = str(place)
        self.loads.append(path)
        if self.fail:
            raise self.fail
        self.predictors[path] = FakePredictor()
        return loaded(self.package, self.predictors[path])

    def version(self, number: str) -> PlannedVersion:
        return PlannedVersion(number, number, self.digest)

    async def ask(self, *numbers: str) -> None:
        for number in numbers:
            await self.model.ask(self.version(number))

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


async def test_a_version_answers_when_it_is_told_to(world: World) -> None:
    await world.ask("1")
    assert world.state == (None, None)
    world.model.tell("1", None, None)
    assert world.state == ("1", None)
    await world.ask("2")
    assert world.state == ("1", None)
    assert "waiting ['2']" in repr(world.model)
    world.model.tell("2", "1", None)
    assert world.state == ("2", "1")
    world.model.tell("1", "2", None)
    assert world.state == ("1", "2")
    world.model.tell("1", None, None)
    assert world.state == ("1", None)
    await until(lambda: world.predictors["2"].closed)


async def test_the_same_word_twice_does_nothing(world: World) -> None:
    await world.ask("1", "2")
    world.model.tell("2", "1", None)
    before = world.served.versions
    world.model.tell("2", "1", None)
    assert world.served.versions == before


async def test_what_is_here_is_not_loaded_again(world: World) -> None:
    await world.ask("1", "1")
    world.model.tell("1", None, None)
    await world.ask("1")
    assert world.loads == ["1"]


async def test_a_candidate_is_kept_until_it_is_given_up(world: World) -> None:
    await world.ask("1", "2")
    world.model.tell("1", None, "2")
    assert not world.predictors["2"].closed
    world.model.tell("1", None, None)
    await until(lambda: world.predictors["2"].closed == 1)
    assert world.state == ("1", None)


async def test_a_failure_is_raised_and_leaves_nothing(world: World) -> None:
    world.fail = ProofFailed("no")
    with pytest.raises(ProofFailed):
        await world.ask("1")
    world.model.tell(None, None, None)
    assert world.state == (None, None)


async def test_another_package_in_the_same_place_is_refused(world: World) -> None:
    with pytest.raises(SealBroken, match="is another package now"):
        await world.model.ask(replace(world.version("1"), digest="0" * 64))
    assert world.predictors["1"].closed == 1


async def test_every_change_of_two_versions_can_be_told(identity_onnx_package: Path) -> None:
    """From nothing or any pair to any pair, once what is named is here: no step needs another one between."""
    pairs = [(a, b) for a, b in itertools.product("123", (None, *"123")) if a != b]
    for before, after in itertools.product([(None, None), *pairs], pairs):
        world = World(identity_onnx_package)
        for pair in (before, after):
            await world.ask(*(version for version in pair if version))
            world.model.tell(*pair, None)
            assert world.state == pair, (before, after)
        world.model.close()
        await world.served.close()
        await until(lambda: all(p.closed == 1 for p in world.predictors.values()))  # noqa: B023  (awaited here)


class Stopped:
    """Remembers what it is told, and makes the load that waits for it fail."""

    def __init__(self) -> None:
        self.word = threading.Event()
        self.said: list[bool] = []

    def stop(self, *, for_good: bool = False) -> None:
        self.said.append(for_good)
        self.word.set()

    def load(self, place: Path, version: str) -> LoadedModel:
        assert self.word.wait(10)
        raise ModelProcessLost("The model's process was ended.")


@pytest.mark.parametrize(
    ("end", "raised", "for_good"), [(WorkerModel.stop, ModelProcessLost, False), (WorkerModel.close, Closing, True)]
)
async def test_a_load_is_ended_and_its_end_is_told(world: World, end: Any, raised: Any, for_good: bool) -> None:
    loads = Stopped()
    model = WorkerModel(world.served, loads.load, Metrics(process=False), ServingOptions(), loads=loads)
    asking = asyncio.ensure_future(model.ask(world.version("1")))
    await asyncio.sleep(0)
    end(model)
    with pytest.raises(raised):
        await asking
    assert loads.said == [for_good]
