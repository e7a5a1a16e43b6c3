"""Gateways of a registry in PostgreSQL with its packages in S3: while it goes away, and where it is away at the start."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock.package.save import save_model
from postgres import Postgres, reader_of
from server.conftest import Launch, ServerProcess, samples
from server.test_swap import Load, adds, metrics_of
from serving.fakes import until

Command = Callable[..., str]


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
def reader(command: Command, variables: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Two versions of `moving`, the first in production; the variables of a gateway that may only SELECT."""
    command("migrate")
    for number in (1, 2):
        example = np.array([[1, 2], [3, 4], [5, 7]], dtype=np.float32)
        package = save_model(adds(1000.0 * number), tmp_path / f"adds-{number}", example=example).path
        command("add", "moving", package, *(["--alias", "production"] if number == 1 else []))
    with reader_of(variables["PENSTOCK_REGISTRY"]) as url:
        yield {**variables, "PENSTOCK_REGISTRY": url, "PENSTOCK_POLL_INTERVAL": "0.1"}


async def model_of(server: ServerProcess) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        [found] = (await client.get("/models")).json()["models"]
        return dict(found)


async def eventually(server: ServerProcess, **wanted: Any) -> None:
    """Until the model is described so."""
    deadline = time.monotonic() + 40
    while not wanted.items() <= (found := await model_of(server)).items():
        assert time.monotonic() < deadline, (found, server.stderr)
        await asyncio.sleep(0.02)


async def test_postgresql_is_restarted_under_load(
    launch: Launch, reader: dict[str, str], command: Command, postgres: Postgres
) -> None:
    server = launch("moving", **reader).wait_ready()
    load = Load(server, clients=4)
    await load.until_answered_by("1")
    await asyncio.to_thread(postgres.stop)
    try:
        await until(lambda: "the registry names no version, version 1 goes on answering" in server.stderr, seconds=30)
        while samples(await metrics_of(server), "penstock_registry_errors_total", model="moving") < 3:
            await load.until_answered_by("1")
    finally:
        await asyncio.to_thread(postgres.start)
    await asyncio.to_thread(command, "promote", "moving", "2", "--reason", "better")
    await load.until_answered_by("2", seconds=40)
    await load.stop()
    assert load.answered > 20  # every one of them right: the clients look
    assert server.stderr.count("the registry names no version") == 1
    assert server.stderr.count("the registry names a version again") == 1
    assert "Traceback" not in server.stderr
    assert "ann" in command("history", "moving")


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_registry_is_away_at_the_start(
    launch: Launch, reader: dict[str, str], command: Command, postgres: Postgres, workers: int
) -> None:
    first = launch("moving", "--workers", workers, **reader).wait_ready()
    await eventually(first, version="1", stale=False)
    first.stop()
    await asyncio.to_thread(postgres.stop)
    try:
        # Nor is the store there: what was fetched once is in the cache.
        server = launch("moving", "--workers", workers, **reader, AWS_ENDPOINT_URL="http://127.0.0.1:1").wait_ready()
        await eventually(server, ready=True, version="1", alias="production", stale=True)
        answer = httpx.post(f"{server.url}/invocations", json={"inputs": [[1.0, 2.0]]}, timeout=30)
        assert answer.json() == {"predictions": {"y": [[1001.0, 1002.0]]}}
        assert samples(await metrics_of(server), "penstock_registry_stale", model="moving") == 1
        assert server.stderr.count("the registry cannot be asked; version 1, which it named on ") == 1
    finally:
        await asyncio.to_thread(postgres.start)
    await eventually(server, version="1", stale=False)
    assert samples(await metrics_of(server), "penstock_registry_stale", model="moving") == 0
    server.signal()
    assert server.wait_exit() == 0


async def test_the_registry_is_away_at_the_first_start(
    launch: Launch, reader: dict[str, str], postgres: Postgres
) -> None:
    await asyncio.to_thread(postgres.stop)
    try:
        server = launch("moving", **reader).wait_ready()
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        await until(lambda: "the registry names no version, nothing is served yet" in server.stderr, seconds=30)
        assert httpx.post(f"{server.url}/invocations", json={"inputs": [[1.0, 2.0]]}).status_code == 503
    finally:
        await asyncio.to_thread(postgres.start)
    await eventually(server, ready=True, version="1", stale=False)
    assert httpx.get(f"{server.url}/readyz").status_code == 200
