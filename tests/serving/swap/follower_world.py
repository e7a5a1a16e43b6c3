"""A follower of an alias, over a registry and models that do as they are told."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from penstock.loading import LoadedModel
from penstock.metrics import Metrics
from penstock.registry import ModelVersion, NewVersion
from penstock.registry.memory import MemoryRegistry
from penstock.registry.resolutions import LastResolution
from penstock.serving.served_model import IgnoredEvents, ServedModel
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import LoadedVersion, LocalTarget
from serving.fakes import FakePredictor, in_a_thread, loaded


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


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
