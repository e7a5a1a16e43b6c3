"""A worker process that hangs is noticed, and another one takes its place."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from penstock.errors import WorkerLost
from penstock.http.run import RunOptions, bind
from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.channel import Channel
from penstock.http.workers.messages import AcceptConnections, AdmitTokens, StartWorker
from penstock.http.workers.start_process import start_process
from penstock.metrics import Metrics
from penstock.server.workers.supervisor import Supervisor
from penstock.server.workers.worker import VOCABULARY
from server.conftest import Launch, samples
from server.test_swap import metrics_of
from server.worker_processes import alive, all_serve, workers_of
from serving.fakes import until


async def test_a_worker_that_hangs_is_noticed_and_replaced(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package, "-w", 2, "--worker-timeout", "5").wait_ready()
    victim, other = workers_of(server)
    os.kill(victim, signal.SIGSTOP)
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        while "sends no heartbeat; killing the worker." not in server.stderr:  # meanwhile the other one answers
            answer = await client.post("/invocations", json={"inputs": [[1, 2, 3]]}, headers={"connection": "close"})
            assert answer.status_code == 200
            assert alive(victim) or "sends no heartbeat" in server.stderr
            await asyncio.sleep(0.05)
    await until(lambda: not alive(victim), seconds=30)
    await all_serve(server)
    assert other in workers_of(server)
    assert victim not in workers_of(server)
    assert server.stderr.count("sends no heartbeat") == 1
    assert samples(await metrics_of(server), "penstock_worker_restarts_total") == 1


async def test_a_worker_that_hangs_in_its_start_ends_the_start(tmp_path: Path) -> None:
    """A real process that never sends a message, as an interpreter on a file system that hangs."""
    file, command = tmp_path / "counts", [sys.executable, "-c", "import time; time.sleep(600)"]
    file.touch()
    started: list[int] = []

    async def launch() -> tuple[asyncio.subprocess.Process, Channel]:
        process, channel = await start_process(command, {}, [], VOCABULARY)
        started.append(process.pid)
        return process, channel

    with file.open("r+b") as counts, closing(bind("127.0.0.1", 0)) as bound:
        supervisor = Supervisor(
            launch,
            [StartWorker(1, {}, [])],
            Metrics(process=False),
            ConnectionCounts.prepare(counts.fileno(), 1),
            RunOptions(),
            worker_timeout=0.1,
            start_timeout=0.5,
        )
        with pytest.raises(WorkerLost, match=r"Worker 1 was killed .* before it could serve"):
            await asyncio.wait_for(supervisor.run([bound], lambda url: None), 60)
    assert len(started) == 1
    assert not alive(started[0])


async def test_a_worker_that_starts_later_is_told_whom_to_let_in_before_all_else(tmp_path: Path) -> None:
    class Told:
        def __init__(self) -> None:
            self.messages: list[object] = []

        def send(self, message: object) -> None:
            self.messages.append(message)

        def set_serving(self) -> None: ...

    async def launch() -> tuple[asyncio.subprocess.Process, Channel]:
        raise AssertionError("none is started")

    file, workers = tmp_path / "counts", {1: Told(), 2: Told()}
    file.touch()
    with file.open("r+b") as counts:
        starts = [StartWorker(number, {}, []) for number in workers]
        prepared = ConnectionCounts.prepare(counts.fileno(), 2)
        supervisor = Supervisor(launch, starts, Metrics(process=False), prepared, RunOptions())
    supervisor._pool.workers = workers  # type: ignore[assignment]
    supervisor.admit_tokens(b"\xef\xbb\xbf# one")
    assert [told.messages for told in workers.values()] == [[AdmitTokens("# one")]] * 2
    supervisor.admit_tokens(b"# two")
    workers[2].messages.clear()  # another process in its place
    supervisor.on_started(2)
    assert workers[2].messages[0] == AdmitTokens("# two")
    assert AcceptConnections() in workers[2].messages
