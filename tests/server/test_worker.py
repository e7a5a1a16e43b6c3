"""A worker asks the supervisor for the metrics of all, and does not invent them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.errors import WorkerLost
from penstock.metrics import Metrics
from penstock.server.workers.messages import Channel, Collect, Company, Exposition, Numbers, Scrape, WorkerStarted
from penstock.server.workers.worker import Worker
from penstock.serving.gateway import Gateway
from serving.fakes import until


class FakeServer:
    """What a worker's server is told."""

    def __init__(self) -> None:
        self.drained: list[float] = []

    def drain(self, delay: float) -> None:
        self.drained.append(delay)


class World:
    def __init__(self, near: Channel, supervisor: Channel) -> None:
        self.supervisor = supervisor
        self.gateway = Gateway([], Metrics(process=False))
        self.server = FakeServer()
        self.worker = Worker(near, self.gateway, self.server, {}, lambda name, alias: None)  # type: ignore[arg-type, return-value]
        self.following = asyncio.create_task(self.worker.follow_orders())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(*await asyncio.gather(*map(Channel.over, socket.socketpair())))
    assert await made.supervisor.receive() == WorkerStarted()
    yield made
    await made.supervisor.close()
    await asyncio.wait_for(made.following, 30)
    await made.worker.close()


async def test_a_scrape_is_answered_by_the_supervisor(world: World) -> None:
    scrapes = [asyncio.ensure_future(world.gateway.exposition()) for _ in range(2)]
    asked: list[Any] = [await world.supervisor.receive() for _ in scrapes]
    assert [type(message) for message in asked] == [Scrape, Scrape]
    for message in reversed(asked):
        world.supervisor.send(Exposition(message.id, f"answer {message.id}"))
    world.supervisor.send(Exposition(99, "for nobody"))
    assert await asyncio.gather(*scrapes) == [f"answer {message.id}".encode() for message in asked]


async def test_without_an_answer_there_are_no_metrics(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.server.workers.worker._SCRAPE_TIMEOUT", 0.01)
    with pytest.raises(WorkerLost, match="does not answer"):
        await world.gateway.exposition()


async def test_it_tells_its_own_numbers_and_knows_its_company(world: World) -> None:
    world.supervisor.send(Company(1, 2))
    world.supervisor.send(Collect())
    numbers = await world.supervisor.receive()
    assert isinstance(numbers, Numbers)
    assert "penstock_ready" in {name for name, *_ in numbers.families}
    assert world.gateway.company == (1, 2)


async def test_it_goes_when_the_supervisor_is_gone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.supervisor.close()
    await until(lambda: world.server.drained)
    assert world.server.drained == [0]
    assert "The supervisor is gone." in caplog.text
