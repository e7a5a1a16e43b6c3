"""Models that come, go and change while a gateway serves: nothing that answers stops doing so, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.artifacts import PackageCache
from penstock.assembly.gateway import LocalHost, app_of, new_gateway
from penstock.assembly.live.models import LiveModels
from penstock.assembly.references import parse_models
from penstock.assembly.sources import SourceContext
from penstock.config import ServerSettings
from penstock.errors import ConfigError, RegistryUnavailable
from penstock.metrics import Metrics
from penstock.publishing import publish
from penstock.registry.memory import MemoryRegistry
from penstock.serving.servable import Servable
from penstock.serving.swap import load_failures
from serving.fakes import until


class World:
    """A gateway over a registry with `fraud`, `team-a` and `team-b`, and a package at a path."""

    def __init__(self, place: Path, package: Path) -> None:
        self.package = package
        self.registry = MemoryRegistry(artifact_root=str(place / "artifacts"), cache=PackageCache(place / "cache"))
        for name in ("fraud", "team-a", "team-b"):
            publish(self.registry, name, package, alias="production", by="a test")
        self.opened = 0
        self.metrics = Metrics(process=False)

    def open_registry(self) -> MemoryRegistry:
        self.opened += 1
        return self.registry

    @asynccontextmanager
    async def serving(self, *models: str, registry: bool = True, **settings: Any) -> AsyncIterator[None]:
        self.settings = ServerSettings(models=models, poll_interval=0.01, **settings)
        references = parse_models(self.settings)
        self.gateway = new_gateway(self.settings, references, self.metrics)
        context = SourceContext(self.settings, self.registry if registry else None, self.metrics)
        self.live = LiveModels(context, LocalHost(self.gateway), self.gateway.sources, self.open_registry)
        self.live.add(references)
        try:
            await self.gateway.start()
            yield
        finally:
            self.live.close()
            await self.gateway.close()

    async def change(self, *models: str, **settings: Any) -> None:
        after = ServerSettings(models=models, poll_interval=0.01, **settings)
        await self.live.apply(after, self.live.changes(after))

    def current(self, name: str) -> Servable | None:
        return self.gateway.peek(name, None)

    async def replaced(self, name: str, before: Servable | None) -> Servable:
        await until(lambda: self.current(name) not in (before, None))
        found = self.current(name)
        assert found is not None
        return found

    @property
    def served(self) -> list[str]:
        return [model.name for model in self.gateway.models]


@pytest.fixture
def world(tmp_path: Path, identity_onnx_package: Path) -> World:
    return World(tmp_path, identity_onnx_package)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_failures, "retry_delay", lambda attempts, chance: 0.01)


class Clients:
    """Callers of one model who ask without pause and expect an answer each time."""

    def __init__(self, world: World, name: str) -> None:
        transport = httpx.ASGITransport(app_of(world.settings, world.gateway))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self.name = name
        self.answered = 0
        self.stopping = False
        self.tasks = [asyncio.create_task(self._ask()) for _ in range(4)]

    async def _ask(self) -> None:
        while not self.stopping:
            answer = await self.client.post(f"/models/{self.name}/invocations", json={"inputs": [[1.0, 2.0, 3.0]]})
            assert answer.status_code == 200, answer.text
            self.answered += 1

    async def some(self) -> None:
        before = self.answered
        await until(lambda: self.answered > before + 8 or any(task.done() for task in self.tasks))

    async def stop(self) -> None:
        self.stopping = True
        await asyncio.gather(*self.tasks)
        await self.client.aclose()


async def test_other_settings_load_the_same_version_anew_without_a_lost_request(world: World) -> None:
    async with world.serving(f"a={world.package}", "fraud"):
        first, other = world.current("a"), world.current("fraud")
        clients = Clients(world, "a")
        await clients.some()
        await world.change(f"a={world.package}", "fraud", own={"a": {"max_queue_rows": 50, "timeout": 3.0}})
        second = await world.replaced("a", first)
        await clients.some()
        await clients.stop()
        assert first is not None
        assert (first.version, first.timeout, second.timeout) == (second.version, 60.0, 3.0)
        assert second.metrics.queue_limit_rows.value == 50
        assert world.current("fraud") is other
        await until(lambda: first.state.value == "closed")
        sample = world.metrics.registry.get_sample_value
        labels = {"model": "a", "version": first.version, "protocol": "invocations", "outcome": "ok"}
        assert sample("penstock_requests_total", labels) == clients.answered
        info = {"model": "a", "version": first.version, "digest": second.loaded.digest[:12], "alias": ""}
        assert sample("penstock_model_info", {**info, "flavor": "onnx", "state": "current", "lean": ""}) == 1
        assert world.gateway.models[0].previous is None


async def test_a_model_is_added_and_another_one_removed_while_a_third_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.assembly.live.models.FORGET_AFTER", 0.0)
    async with world.serving(f"a={world.package}", f"b={world.package}"):
        clients = Clients(world, "a")
        await clients.some()
        await world.change(f"a={world.package}", f"c={world.package}")
        assert world.served == ["a", "c"]
        assert world.gateway.ready
        await world.replaced("c", None)
        await clients.some()
        await clients.stop()
        transport = httpx.ASGITransport(app_of(world.settings, world.gateway))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            gone = await client.post("/models/b/invocations", json={"inputs": [[1.0]]})
            assert (gone.status_code, "served: a, c" in gone.text) == (404, True)
        series = 'penstock_loads_total{model="b"'
        await until(lambda: series not in world.metrics.render().decode())


async def test_a_model_that_cannot_be_loaded_is_tried_again_and_never_makes_the_gateway_unready(
    world: World, tmp_path: Path
) -> None:
    async with world.serving(f"a={world.package}"):
        await world.change(f"a={world.package}", f"late={tmp_path / 'late'}")
        late = world.gateway.served("late")
        assert late is not None
        await until(lambda: late.failure is not None and late.failure.attempts > 1)
        assert late.failure is not None
        assert (late.failure.code, world.gateway.ready) == ("package_not_found", True)
        failing = world.metrics.swap_failing.labels("late")
        assert failing._value.get() == 1
        shutil.copytree(world.package, tmp_path / "copied")
        (tmp_path / "copied").rename(tmp_path / "late")
        await world.replaced("late", None)
        await until(lambda: late.failure is None)
        assert failing._value.get() == 0


async def test_settings_that_a_model_cannot_be_loaded_by_leave_it_as_it_was(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.serving(f"a={world.package}"):
        first, served = world.current("a"), world.gateway.served("a")
        assert served is not None
        await world.change(f"a={world.package}", own={"a": {"flavor": "sklearn"}})
        await until(lambda: served.failure is not None)
        assert world.current("a") is first
        assert "it is still served by the settings before" in caplog.text or "still serving version" in caplog.text
        await world.change(f"a={world.package}", own={"a": {"max_rows": 9}})
        await world.replaced("a", first)
        assert served.failure is None


async def test_another_alias_is_followed_from_where_the_model_is(world: World) -> None:
    publish(world.registry, "fraud", world.package, alias="canary", by="a test")
    async with world.serving("fraud"):
        first = world.current("fraud")
        await world.change("models:/fraud@canary")
        second = await world.replaced("fraud", first)
        served = world.gateway.served("fraud")
        assert served is not None
        assert (second.version, served.alias) == ("2", "canary")
        world.registry.promote("fraud", "1", "canary", by="a test")
        assert (await world.replaced("fraud", second)).version == "1"


async def test_changes_that_come_close_together_end_with_the_last(world: World) -> None:
    async with world.serving("fraud"):
        first = world.current("fraud")
        for timeout in (1.0, 2.0, 3.0):
            await world.change("fraud", timeout=timeout)
        await until(lambda: (current := world.current("fraud")) is not None and current.timeout == 3.0)
        assert first is not world.current("fraud")


async def test_a_gateway_that_is_not_ready_yet_waits_for_what_the_settings_say_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = world.registry.resolve

    def away(name: str, alias: str) -> Any:
        if name == "fraud":
            raise RegistryUnavailable("It is away.")
        return resolve(name, alias)

    monkeypatch.setattr(world.registry, "resolve", away)
    async with world.serving(f"a={world.package}", "fraud"):
        assert (world.gateway.ready, world.gateway.waiting_for) == (False, ["fraud"])
        await world.change(f"a={world.package}", "team-a")
        await world.replaced("team-a", None)
        assert world.gateway.ready


async def test_settings_that_no_server_could_start_with_change_nothing(world: World) -> None:
    async with world.serving(f"a={world.package}"):
        for models, own in (
            (("x=fraud", "x=team-a"), {}),
            ((f"a={world.package}",), {"a": {"isolation": "none", "env_manager": "uv"}}),
        ):
            with pytest.raises(ConfigError):
                await world.change(*models, own=own)
        assert world.served == ["a"]


async def test_the_registry_is_opened_when_the_first_model_needs_it(world: World) -> None:
    async with world.serving(f"a={world.package}", registry=False):
        assert not world.live.follows
        await world.change(f"a={world.package}", "fraud")
        await world.replaced("fraud", None)
        await world.change(f"a={world.package}", "fraud", "team-a")
        await world.replaced("team-a", None)
        assert (world.opened, world.live.follows) == (1, True)


class TestPatterns:
    async def test_a_model_goes_from_a_pattern_to_a_table_of_its_own_and_back(self, world: World) -> None:
        async with world.serving("team-*"):
            first, other = world.current("team-a"), world.current("team-b")
            clients = Clients(world, "team-a")
            await world.change("team-*", "team-a", own={"team-a": {"timeout": 3.0}})
            second = await world.replaced("team-a", first)
            assert (second.timeout, world.current("team-b")) == (3.0, other)
            await world.change("team-*")
            third = await world.replaced("team-a", second)
            assert third.timeout == 60.0
            assert world.current("team-b") is other
            await clients.some()
            await clients.stop()
            assert world.served == ["team-a", "team-b"]

    async def test_another_alias_of_a_pattern_takes_over_what_it_has_and_ends_the_rest(self, world: World) -> None:
        world.registry.promote("team-b", "1", "canary", by="a test")
        async with world.serving("team-*", "fraud"):
            first = world.current("team-b")
            clients = Clients(world, "team-b")
            await world.change("models:/team-*@canary", "fraud")
            await world.replaced("team-b", first)
            await until(lambda: world.served == ["fraud", "team-b"])
            await clients.some()
            await clients.stop()

    async def test_a_pattern_that_is_gone_takes_its_models_along(self, world: World) -> None:
        async with world.serving("team-*", "fraud"):
            assert world.served == ["fraud", "team-a", "team-b"]
            await world.change("fraud")
            assert world.served == ["fraud"]

    async def test_a_registry_that_is_away_ends_no_model(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        async with world.serving("team-*", "fraud"):
            search = world.registry.search
            asked: list[str] = []
            back = threading.Event()

            def away(pattern: str, alias: str) -> Any:
                asked.append(pattern)
                if not back.is_set():
                    raise RegistryUnavailable("It is away.")
                return search(pattern, alias)

            monkeypatch.setattr(world.registry, "search", away)
            await world.change("models:/team-*@canary", "fraud")
            await until(lambda: len(asked) > 3)
            assert world.served == ["fraud", "team-a", "team-b"]
            back.set()
            await until(lambda: world.served == ["fraud"])


async def test_exact_answers_begin_and_end_with_the_settings(world: World) -> None:
    async with world.serving(f"a={world.package}"):
        first = world.current("a")
        transport = httpx.ASGITransport(app_of(world.settings, world.gateway))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def ask() -> str:
                body = json.dumps({"inputs": [[1.0, 2.0, 3.0]]}).replace("3.0", "NaN")
                return (await client.post("/models/a/invocations", content=body)).text

            assert "null" in await ask()
            await world.change(f"a={world.package}", mlflow_exact=True)
            await world.replaced("a", first)
            assert "NaN" in await ask()
