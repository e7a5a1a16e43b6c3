"""Gateways of a registry in PostgreSQL with packages in S3: it goes away under load, and is away at the start."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock.package.save import save_model
from penstock.publishing import publish
from penstock.registry import open_registry
from server.conftest import Launch, ServerProcess, samples
from server.test_swap import Load, adds, metrics_of
from serving.fakes import until
from support.postgres import Postgres, reader_of

Command = Callable[..., str]

EXAMPLE = np.array([[1, 2], [3, 4], [5, 7]], dtype=np.float32)


@pytest.fixture
def variables(own_postgres_url: str, bucket: str, tmp_path: Path) -> dict[str, str]:
    return {
        "PENSTOCK_REGISTRY": own_postgres_url,
        "PENSTOCK_ARTIFACTS": f"{bucket}/models",
        "PENSTOCK_CACHE": str(tmp_path / "cache"),
        "PENSTOCK_USER": "ann",
    }


@pytest.fixture
def command(variables: dict[str, str]) -> Command:
    """Runs `penstock registry …`, and returns what it says."""

    def run(*words: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "penstock", "registry", *map(str, words)],
            env={**os.environ, **variables}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def reader(variables: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Version v of `moving` adds 1000 × v; the first is in production. The variables of a gateway that may SELECT."""
    url = variables["PENSTOCK_REGISTRY"]
    with closing(open_registry(url, artifacts=variables["PENSTOCK_ARTIFACTS"])) as registry:
        registry.migrate()
        for number in (1, 2):
            package = save_model(adds(1000.0 * number), tmp_path / f"adds-{number}", example=EXAMPLE).path
            if number == 1:
                publish(registry, "moving", package, alias="production", by="ann")
    with reader_of(url) as url:
        yield {**variables, "PENSTOCK_REGISTRY": url, "PENSTOCK_POLL_INTERVAL": "0.1"}


async def model_of(server: ServerProcess) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        [found] = (await client.get("/models")).json()["models"]
        return dict(found)


async def status_of(server: ServerProcess) -> int:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        return (await client.get("/readyz")).status_code


async def eventually(server: ServerProcess, **wanted: Any) -> None:
    """Until the model is described so."""
    deadline = time.monotonic() + 40
    while not wanted.items() <= (found := await model_of(server)).items():
        assert time.monotonic() < deadline, (found, server.stderr)
        await asyncio.sleep(0.02)


@pytest.mark.services
async def test_a_restart_of_postgresql_under_load_fails_no_request(
    launch: Launch, reader: dict[str, str], command: Command, postgres: Postgres, tmp_path: Path
) -> None:
    server = launch("moving", **reader).wait_ready()
    load = Load(server, clients=4)
    await load.until_answered_by("1")
    await asyncio.to_thread(postgres.stop)
    try:
        await until(lambda: "the registry cannot be queried; still serving version 1" in server.stderr, seconds=30)
        while samples(await metrics_of(server), "penstock_registry_errors_total", model="moving") < 3:
            await load.until_answered_by("1")
    finally:
        await asyncio.to_thread(postgres.start)
    message = await asyncio.to_thread(command, "add", "moving", tmp_path / "adds-2", "--alias", "production")
    assert message == "Registered version 2 of moving.\nmoving@production now names this version.\n"
    await load.until_answered_by("2", seconds=40)
    await load.stop()
    assert load.answered > 20  # every one of them right: the clients look
    assert server.stderr.count("the registry cannot be queried") == 1
    assert server.stderr.count("the registry answers again") == 1
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.services)])
def test_a_server_that_waits_can_be_stopped(launch: Launch, workers: int) -> None:
    server = launch("fraud", "--registry", "http://127.0.0.1:1", "--workers", workers).wait_listening()
    server.signal()
    assert server.wait_exit() == 0
    assert server.unread == []
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize(("model", "workers"), [("moving", 1), pytest.param("mov*", 2, marks=pytest.mark.services)])
async def test_a_server_whose_registry_is_away_at_the_start_waits_or_recalls(
    launch: Launch, reader: dict[str, str], postgres: Postgres, model: str, workers: int
) -> None:
    arguments = (model, "--default-model", "moving", "--workers", workers)
    await asyncio.to_thread(postgres.stop)
    try:  # for the first time: there is nothing to recall
        server = launch(*arguments, **reader).wait_listening()
        assert await status_of(server) == 503
        waited_for = "moving" if model == "moving" else "models:/mov*@production"
        assert server.stderr.count(f"not ready yet: waiting for '{waited_for}'.") == 1
        assert server.unread == []
        message = "the registry cannot be queried; nothing is served yet"
        if model == "mov*":
            message = "the registry cannot be queried; still serving the loaded models"
        await until(lambda: message in server.stderr, seconds=30)
    finally:
        await asyncio.to_thread(postgres.start)
    await asyncio.to_thread(server.wait_ready)
    assert await status_of(server) == 200
    await eventually(server, ready=True, version="1", stale=False)
    server.stop()

    await asyncio.to_thread(postgres.stop)
    try:  # nor is the store there: what was fetched once is in the cache
        server = launch(*arguments, **reader, AWS_ENDPOINT_URL="http://127.0.0.1:1").wait_ready()
        assert await status_of(server) == 200
        await eventually(server, ready=True, version="1", alias="production", stale=True)
        load = Load(server, clients=1)
        await load.until_answered_by("1")
        await load.stop()
        assert samples(await metrics_of(server), "penstock_registry_stale", model="moving") == 1
        assert server.stderr.count("the registry cannot be queried; serving version 1, which it named on ") == 1
    finally:
        await asyncio.to_thread(postgres.start)
    await eventually(server, version="1", stale=False)
    assert samples(await metrics_of(server), "penstock_registry_stale", model="moving") == 0
    server.signal()
    assert await asyncio.to_thread(server.wait_exit) == 0
