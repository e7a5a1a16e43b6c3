"""A worker's side of the fleet: commands in, events out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ProofFailed
from penstock.loading import LoadedModel
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.server.workers.worker import VOCABULARY
from penstock.serving.fleet.messages import (
    AddModel,
    AllServe,
    Event,
    ModelRemoved,
    NoteFailure,
    NoteRegistry,
    PatternStarted,
    PatternWaits,
    PrepareVersion,
    RemoveModel,
    SetVersions,
    VersionCrashed,
    VersionFailed,
    VersionProven,
    VersionsSet,
)
from penstock.serving.fleet.worker_models import VersionLoading, WorkerModel, WorkerModels
from penstock.serving.gateway import Gateway
from penstock.serving.servable import ServingOptions
from penstock.serving.served_model import LoadFailure, ModelEvents, RegistryState, ServedModel
from serving.fakes import loaded, until
from support.error_zoo import NAMES, logged_as_in_a_server, zoo


class World:
    """A worker that knows `m` from its start."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.digest = PackagedModel.open(package).digest
        self.metrics = Metrics(process=False)
        self.events: list[Event] = []
        self.fail: BaseException | None = None
        self.gateway = Gateway([], self.metrics, names=["m"], patterns=["team-*"])
        self.models = WorkerModels(self.gateway, self.make, self.events.append)
        self.models.add("m", "production")

    def make(self, name: str, alias: str, events: ModelEvents) -> WorkerModel:
        served = ServedModel(name, self.metrics, alias=alias, events=events)
        return WorkerModel(served, lambda _: VersionLoading(self.load, ServingOptions()), self.metrics)

    def load(self, path: Path, version: str) -> LoadedModel:
        if self.fail is not None:
            raise self.fail
        return loaded(self.package)

    async def prepare(self, model: str, version: str) -> Event:
        count = len(self.events)
        self.models.carry_out(PrepareVersion(model, version, str(self.package), self.digest))
        await until(lambda: len(self.events) > count)
        return self.events[-1]


@pytest.fixture
async def world(identity_onnx_package: Path) -> AsyncIterator[World]:
    made = World(identity_onnx_package)
    yield made
    await made.models.close()
    await made.gateway.close()


async def test_a_version_is_prepared_set_and_makes_the_worker_ready(world: World) -> None:
    assert await world.prepare("m", "1") == VersionProven("m", "1")
    assert world.gateway.peek("m", None) is None
    world.models.carry_out(SetVersions("m", "1", None, None))
    assert world.events[-1] == VersionsSet("m", "1")
    assert world.gateway.find("m").version == "1"
    assert not world.gateway.ready
    assert world.gateway.waiting_because == {"team-*": "loading"}
    world.models.carry_out(PatternWaits("team-*", "registry_unavailable"))
    assert world.gateway.waiting_because == {"team-*": "registry_unavailable"}
    world.models.carry_out(PatternStarted("team-*"))
    assert world.gateway.ready


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (ProofFailed("no", hint="Pack it anew."), VersionFailed("m", "1", "proof_failed", "no", "Pack it anew.")),
        (ZeroDivisionError("oh"), VersionFailed("m", "1", "internal", "ZeroDivisionError: oh", "")),
    ],
)
async def test_a_version_that_cannot_be_loaded_is_reported(world: World, error: Exception, event: Event) -> None:
    world.fail = error
    assert await world.prepare("m", "1") == event


async def test_a_version_that_crashes_is_reported(world: World) -> None:
    await world.prepare("m", "1")
    world.models.carry_out(SetVersions("m", "1", None, None))
    world.gateway.model("m").version_failed("1", "ended with code 3")
    assert world.events[-1] == VersionCrashed("m", "1", "ended with code 3")


async def test_what_the_supervisor_knows_is_shown(world: World) -> None:
    failure = LoadFailure("2", "proof_failed", "no", 1.0, 1)
    for command in (NoteRegistry("m", RegistryState(stale=True)), NoteFailure("m", failure), AllServe("m", "1")):
        world.models.carry_out(command)
    served = world.gateway.model("m")
    assert (served.stale, served.failure, served.agreed) == (True, failure, "1")


async def test_models_come_and_go(world: World) -> None:
    world.models.carry_out(AddModel("team-a", "production"))
    assert world.gateway.model("team-a").alias == "production"
    preparing: Any = PrepareVersion("team-a", "1", str(world.package), world.digest)
    world.models.carry_out(preparing)
    world.models.carry_out(RemoveModel("team-a"))
    assert world.events == [ModelRemoved("team-a")]
    assert not world.gateway.serves("team-a")
    await world.models.close()
    assert world.events == [ModelRemoved("team-a")]  # nothing is reported of the load that was under way


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
async def test_whatever_a_load_raises_is_reported(world: World, number: int) -> None:
    world.fail = zoo()[number]
    with logged_as_in_a_server():
        event = await world.prepare("m", "1")
    assert isinstance(event, VersionFailed)
    assert VOCABULARY.decode(VOCABULARY.encode(event)[4:]) == event
    world.fail = None
    assert await world.prepare("m", "2") == VersionProven("m", "2")


async def test_a_load_whose_outcome_cannot_be_reported_has_failed(world: World) -> None:
    send = world.models._send

    def fail_once(event: Event) -> None:
        world.models._send = send
        raise TypeError("no words")

    world.models._send = fail_once
    event = await world.prepare("m", "1")
    assert isinstance(event, VersionFailed)
    assert event.message == "The worker failed to report its load: TypeError."
