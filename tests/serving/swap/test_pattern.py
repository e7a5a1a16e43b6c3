"""Models that a pattern finds: they come, are followed, missed, and go; and what the registry is asked meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from penstock.errors import ModelNotServed, ProofFailed, RegistryDenied, RegistryNotFound, RegistryUnavailable
from penstock.loading import LoadedModel
from penstock.metrics import Metrics
from penstock.registry import ModelVersion, NewVersion
from penstock.registry.memory import MemoryRegistry
from penstock.registry.resolutions import LastResolution, LastSearch
from penstock.serving.gateway import Gateway
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.pattern import Changes, Member, Pattern, next_changes
from penstock.serving.swap.pattern_search import PatternSearch
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import LocalTarget
from serving.fakes import FakePredictor, in_a_thread, loaded, until

INF = float("inf")


def nobody(name: str) -> bool:
    return False


class TestTheDecision:
    def test_a_model_that_is_found_joins_in_order_of_names(self) -> None:
        assert next_changes({"b": "b", "a": "a"}, nobody, {}, 0.0) == Changes(join=("a", "b"))

    def test_a_name_that_is_served_already_is_left_alone(self) -> None:
        assert next_changes({"a": "a", "b": "b"}, lambda n: n == "a", {}, 0.0).join == ("b",)
        assert next_changes({"a b": "a-b", "a-b": "a-b"}, nobody, {}, 0.0).join == ("a b",)

    def test_a_missing_model_goes_when_its_grace_is_over(self) -> None:
        assert next_changes({}, nobody, {"a": (INF, 5.0)}, 10.0) == Changes(missed=("a",))
        assert next_changes({}, nobody, {"a": (10.0, 5.0)}, 14.9) == Changes()
        assert next_changes({}, nobody, {"a": (10.0, 5.0)}, 15.0) == Changes(leave=("a",))

    def test_a_model_that_comes_back_stays(self) -> None:
        assert next_changes({"a": "a"}, nobody, {"a": (10.0, 5.0)}, 99.0) == Changes(back=("a",))


class World:
    """A registry, a gateway with one explicit model `team-own`, and the pattern team-*."""

    def __init__(self, package: Path, cache: Path) -> None:
        self.package = package
        self.cache = cache
        self.registry = MemoryRegistry()
        self.metrics = Metrics(process=False)
        self.own = ServedModel("team-own", self.metrics)
        self.gateway = Gateway([self.own], self.metrics, patterns=["team-*"])
        self.now = 0.0
        self.questions: list[str] = []
        self.unreachable: Exception | None = None
        self.failing: set[str] = set()
        self.held: dict[str, Event] = {}
        search = PatternSearch("team-*", self.search, self.version, last=LastSearch(cache, "here", "team-*"))
        self.pattern = Pattern(
            search,
            self.join,
            self.metrics,
            taken=self.gateway.serves,
            on_started=lambda: self.gateway.pattern_started("team-*"),
            poll_interval=0.005,
            clock=lambda: self.now,
        )

    def add(self, name: str, versions: int = 1) -> None:
        for _ in range(versions):
            self.registry.register(name, NewVersion(f"{name}/package"))
        self.registry.promote(name, "1", by="test")

    def search(self) -> dict[str, str]:
        self.questions.append("search")
        if self.unreachable is not None:
            raise self.unreachable
        return self.registry.search("team-*")

    def version(self, name: str, version: str) -> ModelVersion:
        self.questions.append(f"{name} {version}")
        return self.registry.version(name, version)

    def join(self, name: str, served_as: str, resolve: Callable[[], ModelVersion | None]) -> Member:
        served = ServedModel(served_as, self.metrics, alias="production", events=self.gateway)
        self.gateway.add(served)
        target = LocalTarget(served, self.metrics)
        last = LastResolution(self.cache, "here", f"models:/{name}@production")
        poll = RegistryPoll(served_as, resolve, self.metrics, interval=60.0, last=last)  # they are woken
        follower = Follower(target, poll, in_a_thread(self.load), self.metrics)
        return Member(follower, lambda: self.gateway.remove(served_as), 300.0)

    def load(self, version: ModelVersion) -> LoadedModel:
        if version.name in self.failing:
            raise ProofFailed("no")
        if (held := self.held.get(f"{version.name} {version.version}")) is not None:
            assert held.wait(10)
        return loaded(self.package, FakePredictor())

    def answering(self) -> dict[str, str | None]:
        return {m.name: m.current.version if m.current else None for m in self.gateway.models}


@pytest.fixture
async def world(identity_onnx_package: Path, tmp_path: Path) -> Any:
    made = World(identity_onnx_package, tmp_path)
    made.running = None  # type: ignore[attr-defined]
    yield made
    if made.running is not None:  # type: ignore[attr-defined]
        made.running.cancel()  # type: ignore[attr-defined]
        await asyncio.wait([made.running])  # type: ignore[attr-defined]
    else:
        running = asyncio.create_task(made.pattern.run())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
    await made.gateway.close()


async def test_models_of_the_start_are_loaded_before_the_pattern_has_started(world: World) -> None:
    world.add("team-a")
    world.add("team-b")
    world.add("other")
    assert world.gateway.waiting_for == ["team-own", "team-*"]
    await world.pattern.start()
    assert world.answering() == {"team-a": "1", "team-b": "1", "team-own": None}
    assert world.gateway.waiting_for == ["team-own"]
    assert world.gateway.default is None


async def test_a_pattern_without_a_match_has_started_and_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await world.pattern.start()
    assert world.gateway.waiting_for == ["team-own"]
    assert "team-*: no model matches yet." in caplog.messages


async def test_a_model_that_cannot_be_loaded_holds_nobody_up(world: World) -> None:
    world.add("team-a")
    world.add("team-b")
    world.failing = {"team-a"}
    await world.pattern.start()
    assert world.answering() == {"team-a": None, "team-b": "1", "team-own": None}
    assert world.gateway.waiting_for == ["team-own"]
    failure = world.gateway.model("team-a").failure
    assert failure is not None
    assert failure.code == "proof_failed"


async def test_models_come_move_and_go_while_it_runs(world: World) -> None:
    world.add("team-a", 2)
    await world.pattern.start()
    world.running = asyncio.create_task(world.pattern.run())  # type: ignore[attr-defined]
    world.add("team-b")
    await until(lambda: world.answering().get("team-b") == "1")
    world.registry.promote("team-a", "2", by="test")
    await until(lambda: world.answering()["team-a"] == "2")
    world.registry.remove_alias("team-b", "production", by="test")
    await until(lambda: world.pattern.members["team-b"].missed_since != INF)
    assert world.answering()["team-b"] == "1"  # it may be back soon
    world.now += 299
    asked = len(world.questions)
    await until(lambda: len(world.questions) > asked + 3)
    assert world.answering()["team-b"] == "1"
    world.registry.promote("team-b", "1", by="test")
    await until(lambda: world.pattern.members["team-b"].missed_since == INF)
    world.registry.remove_alias("team-b", "production", by="test")
    world.registry.delete("team-b")
    await until(lambda: world.pattern.members["team-b"].missed_since != INF)
    world.now += 300
    await until(lambda: "team-b" not in world.answering())
    with pytest.raises(ModelNotServed):
        world.gateway.find("team-b")
    again = world.registry.register("team-b", NewVersion("team-b/package"))  # a new life, under a new number
    world.registry.promote("team-b", again.version, by="test")
    await until(lambda: world.answering().get("team-b") == again.version == "2")


async def test_a_version_that_loads_when_its_alias_goes_away_does_not_answer(world: World) -> None:
    world.add("team-a", 2)
    await world.pattern.start()
    world.running = asyncio.create_task(world.pattern.run())  # type: ignore[attr-defined]
    world.held["team-a 2"] = held = Event()
    world.registry.promote("team-a", "2", by="test")
    follower = world.pattern.members["team-a"].follower
    await until(lambda: "loading='2'" in repr(follower))
    world.registry.remove_alias("team-a", "production", by="test")
    await until(lambda: follower.poll.wanted is None)
    held.set()
    await until(lambda: "loading=None" in repr(follower))
    assert world.answering()["team-a"] == "1"


async def test_the_registry_is_asked_one_question_for_all_and_one_more_for_a_version_that_is_new(world: World) -> None:
    for number in range(5):
        world.add(f"team-{number}", 2)
    await world.pattern.start()
    assert sorted(world.questions) == ["search", *(f"team-{n} 1" for n in range(5))]
    del world.questions[:]
    world.running = asyncio.create_task(world.pattern.run())  # type: ignore[attr-defined]
    await until(lambda: world.questions.count("search") > 3)
    assert set(world.questions) == {"search"}
    world.registry.promote("team-3", "2", by="test")
    await until(lambda: world.answering()["team-3"] == "2")
    assert [q for q in world.questions if q != "search"] == ["team-3 2"]


async def test_a_model_named_for_itself_wins_over_the_pattern(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.add("team-own")
    await world.pattern.start()
    assert world.gateway.model("team-own") is world.own
    assert world.pattern.members == {}
    await world.pattern.step()
    assert sum("ignored for team-*" in message for message in caplog.messages) == 1


async def test_a_registry_that_is_away_at_the_start_is_waited_for(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.add("team-a")
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.pattern.start()
    assert "team-*" in world.gateway.waiting_for
    world.unreachable = None
    world.running = asyncio.create_task(world.pattern.run())  # type: ignore[attr-defined]
    await until(lambda: world.gateway.waiting_for == ["team-own"])
    assert world.answering()["team-a"] == "1"


@pytest.mark.parametrize("error", [RegistryUnavailable, RegistryNotFound, RegistryDenied])
async def test_models_of_the_last_search_are_served_while_the_registry_is_away_at_the_start(
    world: World, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    before = World(world.package, world.cache)
    before.registry = world.registry
    for name in ("team-a", "team-b", "team-bad"):
        world.add(name, 2)
    before.failing = {"team-bad"}
    await before.pattern.start()
    await before.gateway.close()

    world.unreachable = error("It cannot be reached.")
    await world.pattern.start()
    assert world.answering() == {"team-a": "1", "team-b": "1", "team-bad": None, "team-own": None}
    assert world.gateway.waiting_for == ["team-own"]
    assert world.gateway.model("team-a").stale
    assert sum("the models that it named on 20" in message for message in caplog.messages) == 1
    assert world.questions == ["search"]

    world.unreachable = None
    world.registry.promote("team-a", "2", by="test")
    world.registry.remove_alias("team-b", "production", by="test")
    world.running = asyncio.create_task(world.pattern.run())  # type: ignore[attr-defined]
    await until(lambda: world.answering()["team-a"] == "2")
    await until(lambda: world.answering()["team-bad"] == "1")
    assert not world.gateway.model("team-a").stale
    assert world.answering()["team-b"] == "1"  # for its grace
    await until(lambda: world.pattern.members["team-b"].missed_since != INF)


async def test_an_empty_last_search_is_recalled_too(world: World) -> None:
    before = World(world.package, world.cache)
    await before.pattern.start()
    await before.gateway.close()
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    await world.pattern.start()
    assert world.gateway.waiting_for == ["team-own"]


async def test_a_registry_that_goes_away_later_takes_no_model_with_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.add("team-a")
    await world.pattern.start()
    world.unreachable = RegistryUnavailable("It cannot be reached.")
    world.now += 10_000
    for _ in range(3):
        await world.pattern.step()
    assert world.answering()["team-a"] == "1"
    errors = [m for m in caplog.messages if "still serving the loaded models" in m]
    assert len(errors) == 1


async def test_no_registry_at_all_is_an_error(world: World) -> None:
    world.unreachable = RegistryNotFound("There is none.")
    with pytest.raises(RegistryNotFound):
        await world.pattern.start()


async def test_numbers_of_a_model_that_is_gone_are_forgotten(world: World) -> None:
    world.add("team-a")
    await world.pattern.start()
    text = world.metrics.render().decode()
    assert 'penstock_loads_total{model="team-a"' in text
    world.metrics.forget_model("team-a")
    text = world.metrics.render().decode()
    assert 'penstock_loads_total{model="team-a"' not in text
    assert 'penstock_swaps_total{kind="load",model="team-a"' not in text
