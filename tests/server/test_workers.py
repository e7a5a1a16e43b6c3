"""Several worker processes under one supervisor: swaps, deaths, restarts, numbers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from penstock.registry import Registry
from server import test_swap
from server.conftest import Connection, Launch, ServerProcess, samples
from server.test_swap import Load, metrics_of
from server.worker_processes import (
    CRASHING_MODEL,
    alive,
    all_serve,
    python_model,
    ready_of,
    workers_of,
)
from serving.fakes import until

registry = test_swap.registry  # the fixture


def moves(server: ServerProcess, worker: int, version: str) -> int:
    """How often this worker has begun to serve this version."""
    return len(re.findall(rf"\[worker {worker}\] moving: now serving version {version} \(\w+\)", server.stderr))


def all_moved(server: ServerProcess, version: str, times: int) -> bool:
    return all(moves(server, worker, version) == times for worker in (1, 2))


async def test_versions_move_in_all_workers_at_once_without_a_failed_request(
    launch: Launch,
    registry: Registry,
    tmp_path: Path,
) -> None:
    server = launch("moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1", "-w", 2).wait_ready()
    assert len(workers_of(server)) == 2
    load = Load(server, clients=8)
    settled: list[tuple[float, float, str]] = []  # from when until when only this version may have answered
    await load.until_answered_by("1")
    for number in range(4):
        after = "2" if number % 2 == 0 else "1"
        if number % 2 == 0:
            await asyncio.to_thread(registry.promote, "moving", "2", by="test")
        else:
            await asyncio.to_thread(registry.rollback, "moving", by="test")
        times = number // 2 + 1 + (after == "1")
        await until(partial(all_moved, server, after, times), seconds=30)
        since = time.monotonic()
        await load.until_answered_by(after)
        settled.append((since, time.monotonic(), after))
    registry.promote("moving", "3", by="test")  # which fails its example
    await until(lambda: "version 3 cannot be served" in server.stderr, seconds=30)
    await load.until_answered_by("1")
    await load.stop()
    assert load.answered > 100
    for begin, end, version in settled:
        assert {v for sent, received, v in load.seen if sent > begin and received < end} == {version}
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_requests_total", outcome="ok") == load.answered
    assert samples(metrics, "penstock_requests_total") == load.answered
    assert samples(metrics, "penstock_request_seconds_count", model="moving") == load.answered
    assert samples(metrics, "penstock_loads_total", model="moving", outcome="ok") == 2
    failed = samples(metrics, "penstock_loads_total", model="moving", outcome="failed")
    assert failed >= 1
    assert samples(metrics, "penstock_swaps_total", model="moving", kind="revert") == 3
    assert samples(metrics, "penstock_model_info", version="1", state="current", alias="production") == 1
    assert samples(metrics, "penstock_swap_failing", model="moving") == 1
    assert (
        samples(metrics, "penstock_swap_seconds_count", model="moving") == samples(metrics, "penstock_swaps_total") - 1
    )
    steps = "penstock_load_stage_seconds_count"
    fetches = samples(metrics, steps, stage="fetch", outcome="ok")
    assert failed <= fetches - 2 <= failed + 1  # once a load, by the supervisor, for all; one may be under way
    assert samples(metrics, steps, stage="load", outcome="ok") == 4  # versions 1 and 2, in both
    assert samples(metrics, steps, stage="trial", outcome="failed") == failed  # version 3, before any worker touches it
    assert samples(metrics, steps, stage="prove", outcome="ok") == 4
    assert samples(metrics, "penstock_event_loop_lag_seconds_count") > 4
    assert samples(metrics, "penstock_build_info") == 1
    assert samples(metrics, "penstock_ready") == 1
    assert samples(metrics, "penstock_workers", state="serving") == 2
    for who in ("1", "2", "supervisor"):
        assert samples(metrics, "process_cpu_seconds_total", worker=who) > 0
    async with httpx.AsyncClient(base_url=server.url) as client:
        for _ in range(4):  # whoever answers
            shown = (await client.get("/models/moving", headers={"connection": "close"})).json()
            assert [v["version"] for v in shown["versions"]] == ["1", "2"]
    assert "Traceback" not in server.stderr


async def test_a_worker_killed_under_load_loses_its_own_requests_and_comes_back(
    launch: Launch,
    registry: Registry,
    tmp_path: Path,
) -> None:
    server = launch("moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1", "-w", 2).wait_ready()
    registry.promote("moving", "2", by="test")
    await until(lambda: all(moves(server, n, "2") for n in (1, 2)), seconds=30)

    answered, broken, stopping = 0, 0, False

    async def client() -> None:
        nonlocal answered, broken
        while not stopping:
            connection = await Connection.open(server.address)  # always: somebody takes it
            try:
                while not stopping:
                    status, headers, _ = await connection.post({"inputs": [[1, 2]]})
                    assert (status, headers["x-model-version"]) == (200, "2")
                    answered += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                broken += 1
            finally:
                connection.writer.close()

    clients = [asyncio.create_task(client()) for _ in range(8)]
    await until(lambda: answered > 100, seconds=30)
    before = await metrics_of(server)
    victim, other = workers_of(server)
    os.kill(victim, signal.SIGKILL)
    await until(lambda: "was killed by signal 9 (SIGKILL); restarting the worker at once" in server.stderr, seconds=30)
    await all_serve(server)
    assert 1 <= broken <= 8  # those that it held, once each
    assert other in workers_of(server)
    assert victim not in workers_of(server)
    since = answered
    await until(lambda: answered > since + 100, seconds=30)
    stopping = True
    await asyncio.gather(*clients)
    after = await metrics_of(server)
    for name in ("penstock_requests_total", "penstock_rows_total", "penstock_request_seconds_count"):
        assert samples(after, name) > samples(before, name) > 0
    for name in ("penstock_requests_total", "process_cpu_seconds_total"):
        for line in re.findall(rf"^{name}(\{{.*\}}) (\S+)$", before, re.MULTILINE):
            same = re.search(rf"^{name}{re.escape(line[0])} (\S+)$", after, re.MULTILINE)
            assert same, line
            assert float(same[1]) >= float(line[1])
    assert samples(after, "penstock_worker_restarts_total") == 1
    async with httpx.AsyncClient(base_url=server.url) as asking:
        for _ in range(6):  # the one that came back has the version kept warm too
            kept = await asking.post(
                "/models/moving/versions/1/invocations", json={"inputs": [[1, 2]]}, headers={"connection": "close"}
            )
            assert kept.status_code == 200


async def test_clients_wait_while_all_workers_restart_and_counts_stay_exact(
    launch: Launch, identity_onnx_package: Path
) -> None:
    """A worker that is asked to go says its last numbers; connections that nobody takes wait for those that come."""
    server = launch(identity_onnx_package, "-w", 2).wait_ready()
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:

        async def ask(times: int) -> None:
            for _ in range(times):
                headers = {"connection": "close"}
                answer = await client.post("/invocations", json={"inputs": [[1, 2, 3]]}, headers=headers)
                assert answer.status_code == 200

        await ask(20)
        victims = workers_of(server)
        for victim in victims:
            os.kill(victim, signal.SIGTERM)
        await until(lambda: not any(map(alive, victims)), seconds=30)
        await ask(10)
    await all_serve(server)
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_requests_total", outcome="ok") == 30
    assert samples(metrics, "penstock_worker_restarts_total") == 2
    assert samples(metrics, "penstock_model_info") == 1


@pytest.mark.services
async def test_a_crash_loop_is_slowed_down_and_ends_when_its_cause_does(launch: Launch, tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    package = python_model(CRASHING_MODEL.format(crash=str(crash)), tmp_path)
    server = launch(package, "--trust-code", "-w", 2).wait_ready()
    crash.touch()
    os.kill(workers_of(server)[0], signal.SIGKILL)  # its successor proves the example, which kills it
    await until(lambda: "crash 2 in a row; restarting the worker in " in server.stderr, seconds=30)
    assert await ready_of(server) == {  # the other one serves
        "ready": True, "state": "ready", "waiting_for": [], "workers": {"serving": 1, "wanted": 2},
    }  # fmt: skip
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_workers", state="serving") == 1
    assert (
        samples(metrics, "penstock_workers", state="waiting") + samples(metrics, "penstock_workers", state="starting")
        == 1
    )
    delays = [float(d) for d in re.findall(r"restarting the worker in ([\d.]+) s", server.stderr)]
    assert 0.5 <= delays[0] <= 1
    crash.unlink()
    await all_serve(server)
    assert "All 2 workers are serving." in server.stderr
