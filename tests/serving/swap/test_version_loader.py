"""Versions loaded into processes of their own and followed through a registry: loads that hang, versions that crash."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from penstock.artifacts import CachedPackage
from penstock.errors import ModelProcessLost, RegistryUnavailable
from penstock.loading import LoadOptions
from penstock.metrics import Metrics
from penstock.registry import ModelVersion, NewVersion
from penstock.registry.memory import MemoryRegistry
from penstock.serving.runners.isolation import IsolatedModel, Isolation, Loaded
from penstock.serving.served_model import IgnoredEvents, ServedModel
from penstock.serving.swap.fixed_version import FixedVersion
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.preparing import FetchedPackage
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import LoadedVersion, LocalTarget
from penstock.serving.swap.version_loader import VersionLoader
from penstock.storage.download import Download
from serving import faulty_model as faulty
from serving.apart import FINE, answer, faulty_package
from serving.fakes import in_a_thread, until


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faulty_package(tmp_path_factory.mktemp("good") / "good")


@pytest.fixture
def hanging(good: Path, copied: Callable[[Path], Path]) -> Path:
    package = copied(good)
    (package / "SHA256SUMS").unlink()
    (package / "model.py").write_text("import time\nprint('here')\ntime.sleep(3600)\n")
    return package


@pytest.fixture
def loader() -> VersionLoader:
    return VersionLoader(LoadOptions(trust_code=True), Isolation(mode="process", slots=2), "m")


def loading(loader: VersionLoader) -> bool:
    return "1 loading" in repr(loader)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_a_load_that_hangs_can_be_stopped(loader: VersionLoader, hanging: Path) -> None:
    load = asyncio.ensure_future(asyncio.to_thread(loader.load, hanging, "1"))
    await until(lambda: loading(loader), seconds=30)
    (process,) = loader._loading
    loader.stop()
    with pytest.raises(ModelProcessLost):
        await asyncio.wait_for(load, 30)
    await until(lambda: gone(process.keeper), seconds=30)
    assert repr(loader) == "<VersionLoader m, 0 loading>"


async def test_a_download_that_is_superseded_ends(loader: VersionLoader, good: Path) -> None:
    began, pieces = threading.Event(), 0

    def fetch() -> FetchedPackage:
        nonlocal pieces
        download = Download("s3://slow/m")
        while pieces < 1_000:
            download.came(1 << 20)
            pieces += 1
            began.set()
            time.sleep(0.01)
        return FetchedPackage("1", CachedPackage(good))

    fetching = asyncio.ensure_future(asyncio.to_thread(loader.fetch, fetch))
    await until(began.is_set)
    loader.stop()
    with pytest.raises(RegistryUnavailable, match="no longer wanted"):
        await asyncio.wait_for(fetching, 30)
    assert loader.fetch(lambda: FetchedPackage("2", CachedPackage(good))).version == "2"


async def test_what_takes_the_place_of_a_version_that_hangs_is_not_superseded(
    loader: VersionLoader, hanging: Path
) -> None:
    load = asyncio.ensure_future(asyncio.to_thread(loader._load_apart, hanging, "m version 1", ""))
    await until(lambda: loading(loader), seconds=30)
    (process,) = loader._loading
    loader.stop()
    assert process._lifeline is not None  # a newer version has come, and the one that answers is still needed
    loader.stop(for_good=True)
    with pytest.raises(ModelProcessLost):
        await asyncio.wait_for(load, 30)


async def test_a_stopped_loader_loads_nothing(loader: VersionLoader, good: Path) -> None:
    loader.stop(for_good=True)
    with pytest.raises(ModelProcessLost):
        await asyncio.wait_for(asyncio.to_thread(loader.load, good, "1"), 60)


async def test_stopping_leaves_what_has_loaded_alone(loader: VersionLoader, good: Path) -> None:
    model = await asyncio.to_thread(loader.load, good, "1")
    loader.stop(for_good=True)
    assert isinstance(model, IsolatedModel)
    process = model.started[0].process
    assert not process.ended.done()
    assert not gone(process.model_pid() or 0)
    model.close()
    await until(process.ended.done, seconds=30)


class World(IgnoredEvents):
    """A registry whose versions are packages by number, and a follower of its production alias."""

    def __init__(self, loader: VersionLoader, packages: dict[str, Path]) -> None:
        self.registry = MemoryRegistry()
        self.packages = packages
        self.loader = loader
        for _ in packages:
            self.registry.register("m", NewVersion("m/package"))
        self.promote("1")
        metrics = Metrics(process=False)
        self.served = ServedModel("m", metrics, alias="production", events=self)
        poll = RegistryPoll("m", lambda: self.registry.resolve("m"), metrics, interval=0.01, chance=lambda: 0.0)
        target = LocalTarget(self.served, metrics)
        self.follower = Follower(target, poll, in_a_thread(self.load), metrics, loads=loader, chance=lambda: 0.0)

    def on_failed(self, model: str, version: str, reason: str) -> None:
        self.follower.give_up(model, version, reason)

    def load(self, version: ModelVersion) -> Loaded:
        return self.loader.load(self.packages[version.version], version.version)

    def promote(self, version: str) -> None:
        self.registry.promote("m", version, by="test")

    @property
    def answering(self) -> str | None:
        return self.served.current.version if self.served.current else None


@pytest.fixture
async def world(loader: VersionLoader, good: Path, hanging: Path) -> AsyncIterator[World]:
    """Version 2 hangs while it loads."""
    made = World(loader, {"1": good, "2": hanging, "3": good})
    await made.follower.start()
    running = asyncio.create_task(made.follower.run())
    yield made
    running.cancel()
    await asyncio.wait_for(asyncio.wait([running]), 60)
    await made.served.close()


async def test_another_move_ends_a_load_that_hangs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.promote("2")
    await until(lambda: loading(world.loader), seconds=30)
    world.promote("3")
    await until(lambda: world.answering == "3", seconds=60)
    assert not [record for record in caplog.records if "cannot be served" in record.getMessage()]
    assert world.served.failure is None


async def test_closing_does_not_wait_for_a_load_that_hangs(world: World) -> None:
    world.promote("2")
    await until(lambda: loading(world.loader), seconds=30)  # the fixture ends it, in time


async def test_a_version_that_keeps_crashing_gives_way_to_the_one_before(
    loader: VersionLoader, good: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(loader, {"1": good, "2": good})
    await world.follower.start()
    running = asyncio.create_task(world.follower.run())
    world.promote("2")
    await until(lambda: world.answering == "2", seconds=60)
    bad = world.served.current
    assert bad is not None
    while world.answering == "2":
        with pytest.raises(ModelProcessLost):
            await answer(bad, faulty.exits)
        await until(lambda: world.answering == "1" or bad.processes[0].state == "ready", seconds=60)
    assert world.served.current is not None
    assert await answer(world.served.current) == FINE
    assert world.served.failure is not None
    assert world.served.failure.version == "2"
    lines = [record.getMessage() for record in caplog.records if "back to version" in record.getMessage()]
    assert len(lines) == 1
    assert "m: version 2 failed; back to version 1." in lines[0]
    running.cancel()
    await asyncio.wait_for(asyncio.wait([running]), 60)
    await world.served.close()


async def test_a_pinned_version_whose_load_hangs_ends_with_its_source(loader: VersionLoader, hanging: Path) -> None:
    metrics = Metrics(process=False)
    served = ServedModel("m", metrics)

    async def prepare() -> LoadedVersion:
        return LoadedVersion("1", await asyncio.to_thread(loader.load, hanging, "1"))

    starting = asyncio.create_task(FixedVersion(LocalTarget(served, metrics), prepare, metrics, loads=loader).start())
    await until(lambda: loading(loader), seconds=30)
    (process,) = loader._loading
    starting.cancel()
    await asyncio.wait([starting])
    await until(process.ended.done, seconds=30)
