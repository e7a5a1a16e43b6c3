"""A hub in several processes over one PostgreSQL: one port, one sum of numbers, a worker that dies is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from hub.conftest import API, hub_over
from penstock.assembly.hub import HubOptions, migrate_store, open_tokens
from penstock.assembly.hub_workers import supervise_hub
from penstock.errors import ConfigError, WorkerLost
from penstock.http.run import RunOptions, bind
from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.all_metrics import AllWorkersMetrics
from penstock.http.workers.channel import Channel, WorkerMessage
from penstock.http.workers.messages import (
    AcceptConnections,
    AllMetrics,
    CollectMetrics,
    Heartbeat,
    Scrape,
    StartWorker,
    WorkerCount,
    WorkerMetrics,
    WorkerStarted,
)
from penstock.hub.workers.supervisor import HubSupervisor
from penstock.hub.workers.worker import VOCABULARY, HubWorker
from penstock.metrics import HubMetrics, HubSupervisorMetrics, render
from penstock.metrics.aggregate import SUPERVISOR, MetricsAggregate

WORKERS = 2


class HubProcess:
    """`penstock hub --workers 2`."""

    def __init__(self, store: str, directory: Path) -> None:
        self.errors = directory / "stderr"
        command = [sys.executable, "-m", "penstock", "hub", "--store", store, "--artifacts", str(directory / "files")]
        with self.errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*command, "--port", "0", "--workers", str(WORKERS)], stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving on "), self.errors.read_text()
        self.url = line.removeprefix("serving on ").strip()

    def workers(self) -> list[int]:
        return list(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))

    def post(self, path: str, **content: object) -> httpx.Response:
        """Over a connection of its own, which the worker with the fewest takes."""
        return httpx.post(f"{self.url}{API}{path}", json=content, timeout=30)

    def samples(self, name: str) -> float:
        lines = httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def eventually(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def served(postgres_url: str, tmp_path: Path) -> Iterator[HubProcess]:
    migrate_store(postgres_url)
    hub = HubProcess(postgres_url, tmp_path)
    try:
        yield hub
    finally:
        hub.process.kill()
        hub.process.communicate()


@pytest.mark.services  # five processes
def test_workers_share_port_store_and_numbers_and_one_that_dies_comes_again(
    served: HubProcess, postgres_url: str
) -> None:
    run_id = served.post("runs/create", experiment_id="0", start_time=1).json()["run"]["info"]["run_id"]

    def log(step: int) -> int:
        return served.post("runs/log-metric", run_id=run_id, key="m", value=1, timestamp=1, step=step).status_code

    with httpx.Client(base_url=served.url, timeout=30) as kept:  # so that connections go to both
        assert kept.get("/health").status_code == 200
        assert [log(step) for step in range(6)] == [200] * 6
        counted = 'penstock_hub_request_seconds_count{endpoint="/api/2.0/mlflow/runs/log-metric",status="2xx"}'
        assert served.samples(counted) == 6
        before = served.workers()
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: served.samples('penstock_workers{state="serving"}') == WORKERS)
    assert served.samples("penstock_worker_restarts_total") == 1
    assert len(set(served.workers()) - set(before)) == 1
    assert log(6) == 200
    history = httpx.get(f"{served.url}{API}metrics/get-history", params={"run_id": run_id, "metric_key": "m"})
    assert [point["step"] for point in history.json()["metrics"]] == list(range(7))

    with closing(open_tokens(postgres_url)) as tokens:  # as the command line does
        tokens.add("ann", "read")
    eventually(lambda: {log(7) for _ in range(2 * WORKERS)} == {401})
    workers = served.workers()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


async def test_a_store_in_sqlite_is_written_by_one_process(tmp_path: Path) -> None:
    options = HubOptions(str(tmp_path / "store"), str(tmp_path / "files"))
    with closing(bind("127.0.0.1", 0)) as bound, pytest.raises(ConfigError, match="2 workers cannot share") as refused:
        await supervise_hub(options, bound, RunOptions(), 2, lambda url, asks: None)
    assert "PostgreSQL" in refused.value.hint
    assert not (tmp_path / "store").exists()


class FakeServer:
    """What a worker's server was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def accept(self) -> None:
        self.told.append("accept")

    def drain(self, delay: float) -> None:
        self.told.append(delay)


async def test_a_worker_answers_its_supervisor(tmp_path: Path) -> None:
    near, far = await asyncio.gather(*(Channel.over(end, VOCABULARY) for end in socket.socketpair()))
    server, all_metrics = FakeServer(), AllWorkersMetrics(near.send)
    async with hub_over(str(tmp_path / "store"), tmp_path / "files", scrape=all_metrics.text) as hub:
        worker = HubWorker(near, hub.app._hub, server, all_metrics)  # type: ignore[arg-type]
        running = asyncio.create_task(worker.run())
        for sent, answer in ((None, WorkerStarted), (Heartbeat(), Heartbeat), (CollectMetrics(), WorkerMetrics)):
            if sent is not None:
                far.send(sent)
            assert isinstance(told := await far.receive(), answer)
        assert isinstance(told, WorkerMetrics)
        assert "penstock_hub_ready" in {name for name, *_ in told.families}
        scraped = asyncio.create_task(hub.get("/metrics"))
        asked = await far.receive()
        assert isinstance(asked, Scrape)
        for message in (WorkerCount(1, 2), AcceptConnections(), AllMetrics(asked.id, "of all")):
            far.send(message)
        assert (await scraped).text == "of all"
        await far.close()
        await asyncio.wait_for(running, 30)
        await worker.close()
    assert server.told == ["accept", 0]


async def test_without_its_supervisor_a_worker_has_no_metrics_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.http.workers.all_metrics._SCRAPE_TIMEOUT", 0.01)
    all_metrics = AllWorkersMetrics(lambda message: None)
    async with hub_over(str(tmp_path / "store"), tmp_path / "files", scrape=all_metrics.text) as hub:
        assert (await hub.get("/metrics")).status_code == 503


class Supervised:
    """A supervisor of two workers that are never started; what is sent to them is kept."""

    def __init__(self, counts: ConnectionCounts) -> None:
        starts = [StartWorker(number, {}, []) for number in (1, 2)]
        self.supervisor = HubSupervisor(self.launch, starts, HubSupervisorMetrics(process=False), counts, RunOptions())
        self.sent: dict[int, list[WorkerMessage]] = {1: [], 2: []}
        for number, worker in self.supervisor._pool.workers.items():
            worker.send = self.sent[number].append  # type: ignore[method-assign,assignment]

    async def launch(self) -> tuple[asyncio.subprocess.Process, Channel]:
        raise OSError(0, "there are no processes here")


@pytest.fixture
def counts(tmp_path: Path) -> Iterator[ConnectionCounts]:
    (tmp_path / "counts").touch()
    with (tmp_path / "counts").open("r+b") as file, closing(ConnectionCounts.prepare(file.fileno(), 2)) as prepared:
        yield prepared


async def test_a_worker_serves_once_its_store_is_open(counts: ConnectionCounts) -> None:
    supervised = Supervised(counts)
    supervised.supervisor.on_started(2)
    assert supervised.sent == {1: [], 2: [AcceptConnections(), WorkerCount(1, 2)]}
    supervised.supervisor.on_started(1)
    assert supervised.sent[1] == [AcceptConnections(), WorkerCount(2, 2)]


async def test_a_worker_that_cannot_start_ends_the_start(counts: ConnectionCounts) -> None:
    with closing(bind("127.0.0.1", 0)) as bound, pytest.raises(WorkerLost, match="before it could serve"):
        await Supervised(counts).supervisor.run([bound], lambda url: None)


def test_the_numbers_of_all_workers_are_added_up() -> None:
    aggregate, supervisor = MetricsAggregate(), HubSupervisorMetrics(process=False)
    supervisor.workers.labels("serving").set(2)
    aggregate.report(SUPERVISOR, supervisor.collect())
    for number in (1, 2):
        metrics = HubMetrics(process=False)
        metrics.ready.set(1)
        metrics.store_up.set(number - 1)
        metrics.request("/health", 200, 0.1)
        metrics.commit(3, 0.1, 1)
        aggregate.report(str(number), metrics.collect())
    shown = render(aggregate.total()).decode().splitlines()
    for line in (
        'penstock_hub_request_seconds_count{endpoint="/health",status="2xx"} 2.0',
        "penstock_hub_commit_writes_sum 6.0",
        "penstock_hub_ready 1.0",
        'penstock_hub_store_up{worker="1"} 0.0',
        'penstock_hub_store_up{worker="2"} 1.0',
        'penstock_workers{state="serving"} 2.0',
    ):
        assert line in shown
