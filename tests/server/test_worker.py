"""A worker asks the supervisor for the metrics of all, and does not invent them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.errors import WorkerLost
from penstock.http.workers.all_metrics import AllWorkersMetrics
from penstock.http.workers.channel import Channel
from penstock.http.workers.messages import (
    AdmitTokens,
    AllMetrics,
    CollectMetrics,
    Heartbeat,
    Scrape,
    WorkerCount,
    WorkerMetrics,
    WorkerStarted,
)
from penstock.metrics import Metrics
from penstock.server.workers.worker import VOCABULARY, Worker
from penstock.serving.fleet.worker_models import WorkerModels
from penstock.serving.gateway import Gateway
from serving.fakes import until


class FakeServer:
    """A worker's server that remembers its drains."""

    def __init__(self) -> None:
        self.drained: list[float] = []

    def drain(self, delay: float) -> None:
        self.drained.append(delay)


class World:
    def __init__(self, near: Channel, supervisor: Channel) -> None:
        self.supervisor = supervisor
        all_metrics = AllWorkersMetrics(near.send)
        self.gateway = Gateway([], Metrics(process=False), exposition=all_metrics)
        self.server = FakeServer()
        self.admitted: list[str] = []
        models = WorkerModels(self.gateway, lambda name, alias, events: None, near.send)  # type: ignore[arg-type, return-value]
        self.worker = Worker(near, self.gateway, self.server, models, all_metrics, self.admitted.append)  # type: ignore[arg-type]
        self.running = asyncio.create_task(self.worker.run())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(*await asyncio.gather(*(Channel.over(end, VOCABULARY) for end in socket.socketpair())))
    assert await made.supervisor.receive() == WorkerStarted()
    yield made
    await made.supervisor.close()
    await asyncio.wait_for(made.running, 30)
    await made.worker.close()


async def test_a_scrape_is_answered_by_the_supervisor(world: World) -> None:
    scrapes = [asyncio.ensure_future(world.gateway.exposition()) for _ in range(2)]
    asked: list[Any] = [await world.supervisor.receive() for _ in scrapes]
    assert [type(message) for message in asked] == [Scrape, Scrape]
    for message in reversed(asked):
        world.supervisor.send(AllMetrics(message.id, f"answer {message.id}"))
    world.supervisor.send(AllMetrics(99, "for nobody"))
    assert await asyncio.gather(*scrapes) == [f"answer {message.id}".encode() for message in asked]


async def test_without_an_answer_there_are_no_metrics(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.http.workers.all_metrics._SCRAPE_TIMEOUT", 0.01)
    with pytest.raises(WorkerLost, match="does not answer"):
        await world.gateway.exposition()


async def test_a_worker_reports_its_own_metrics_and_knows_how_many_workers_serve(world: World) -> None:
    world.supervisor.send(WorkerCount(1, 2))
    world.supervisor.send(CollectMetrics())
    report = await world.supervisor.receive()
    assert isinstance(report, WorkerMetrics)
    assert "penstock_ready" in {name for name, *_ in report.families}
    assert world.gateway.worker_count == (1, 2)


async def test_a_worker_lets_in_whom_the_supervisor_says(world: World) -> None:
    for text in ("one", ""):
        world.supervisor.send(AdmitTokens(text))
    await until(lambda: world.admitted == ["one", ""])


async def test_a_worker_answers_a_heartbeat(world: World) -> None:
    world.supervisor.send(Heartbeat())
    assert await world.supervisor.receive() == Heartbeat()


async def test_a_worker_drains_when_the_supervisor_is_gone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.supervisor.close()
    await until(lambda: world.server.drained)
    assert world.server.drained == [0]
    assert "The supervisor has exited." in caplog.text
