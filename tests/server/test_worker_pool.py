"""Workers together: what they report, and their metrics as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.channel import WorkerMessage
from penstock.http.workers.messages import (
    AcceptConnections,
    AllMetrics,
    CollectMetrics,
    Scrape,
    StartWorker,
    WorkerCount,
    WorkerMetrics,
    WorkerStarted,
)
from penstock.http.workers.pool import WorkerPool
from penstock.metrics import Metrics
from penstock.metrics.aggregate import to_plain
from penstock.serving.fleet.messages import VersionProven
from serving.fakes import settle, until


class World:
    """A pool of two workers that are never started; what is sent to them is kept."""

    def __init__(self, counts: ConnectionCounts) -> None:
        self.started: list[int] = []
        self.messages: list[tuple[int, WorkerMessage]] = []
        self.ends: list[tuple[int, str]] = []
        self.counts = counts
        self.metrics = Metrics(process=False)
        starts = [StartWorker(number, {}, []) for number in (1, 2)]
        self.pool = WorkerPool(self.launch, starts, self.metrics, counts, self, worker_timeout=60.0)
        self.sent: dict[int, list[WorkerMessage]] = {1: [], 2: []}
        for number, worker in self.pool.workers.items():
            worker.send = self.sent[number].append  # type: ignore[assignment,method-assign]

    async def launch(self) -> Any:
        await asyncio.Event().wait()

    def on_started(self, number: int) -> None:
        self.started.append(number)

    def on_message(self, number: int, message: WorkerMessage) -> None:
        self.messages.append((number, message))

    def on_ended(self, number: int, how: str) -> None:
        self.ends.append((number, how))

    def says(self, number: int, message: WorkerMessage) -> None:
        self.pool.on_message(self.pool.workers[number], message)

    def report(self, number: int, dropped: int) -> None:
        """A worker's metrics, by which it has dropped so many lines of its access log."""
        metrics = Metrics(process=False)
        metrics.log_dropped.inc(dropped)
        self.says(number, WorkerMetrics(to_plain(metrics.collect())))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    file = tmp_path / "counts"
    file.touch()
    with file.open("r+b") as opened:
        counts = ConnectionCounts.prepare(opened.fileno(), 2)
        yield World(counts)
        counts.close()


async def test_what_is_not_about_processes_is_passed_on(world: World) -> None:
    world.says(1, WorkerStarted())
    world.says(1, VersionProven("m", "1"))
    assert (world.started, world.messages) == ([1], [(1, VersionProven("m", "1"))])


async def test_a_worker_that_is_admitted_accepts_and_knows_how_many_serve(world: World) -> None:
    world.pool.admit(2)
    world.pool.announce([2])
    assert world.sent == {1: [], 2: [AcceptConnections(), WorkerCount(1, 2)]}
    assert world.pool.workers[2].state == "serving"


async def test_a_worker_that_ended_has_no_connections(world: World) -> None:
    world.counts.set(1, 7)
    world.pool.on_ended(world.pool.workers[1], "ended with code 1")
    assert (world.counts.of(1), world.ends) == (-1, [(1, "ended with code 1")])


async def test_scrapes_share_one_collection_over_all_that_are_ready(world: World) -> None:
    for number in (1, 2):
        world.says(number, WorkerStarted())
    world.says(1, Scrape(7))
    world.says(2, Scrape(8))
    await settle()
    assert world.sent == {1: [CollectMetrics()], 2: [CollectMetrics()]}
    world.report(1, 2)
    await settle()
    assert len(world.sent[1]) == 1  # the other report is pending
    world.report(2, 3)
    await until(lambda: len(world.sent[2]) == 2)
    answers = [world.sent[1][1], world.sent[2][1]]
    assert all(isinstance(answer, AllMetrics) for answer in answers)
    assert [answer.id for answer in answers] == [7, 8]  # type: ignore[attr-defined]
    assert "penstock_access_log_dropped_total 5.0" in answers[0].text  # type: ignore[attr-defined]


async def test_a_collection_does_not_wait_for_a_worker_that_ended(world: World) -> None:
    for number in (1, 2):
        world.says(number, WorkerStarted())
    asking = asyncio.create_task(world.pool.metrics.ask(60.0))
    await settle()
    world.report(1, 0)
    await settle()
    assert not asking.done()
    world.pool.on_ended(world.pool.workers[2], "ended")
    await asyncio.wait_for(asking, 10)


async def test_a_worker_is_needed_where_no_other_serves_or_starts(world: World) -> None:
    one, other = world.pool.workers.values()
    assert not world.pool.is_needed(one)
    other.state = "waiting"
    assert world.pool.is_needed(one)
    assert not world.pool.is_needed(other)
