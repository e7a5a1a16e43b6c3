"""What goes wrong between a gateway and its registry: the version that answers goes on answering."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock.artifacts import open_store
from penstock.package import PackagedModel
from penstock.package.save import save_model
from penstock.publishing import publish, withdraw
from penstock.registry import open_registry
from registry.replay import Handler, Replay
from server.conftest import Launch, ServerProcess, samples
from server.test_swap import Load, adds, metrics_of
from serving.fakes import until


async def test_damaged_and_deleted_packages_are_refused_and_mended_ones_served(
    launch: Launch, bucket: str, tmp_path: Path
) -> None:
    s3 = __import__("fsspec").filesystem("s3")
    variables = {"PENSTOCK_REGISTRY": str(tmp_path / "registry"), "PENSTOCK_ARTIFACTS": f"{bucket}/models"}
    with closing(open_registry(variables["PENSTOCK_REGISTRY"], artifacts=variables["PENSTOCK_ARTIFACTS"])) as registry:
        packages = []
        for number in (1, 2, 3):
            example = np.array([[1, 2], [3, 4], [5, 7]], dtype=np.float32)
            packages.append(save_model(adds(1000.0 * number), tmp_path / f"adds-{number}", example=example))
            publish(registry, "moving", packages[-1].path)
        registry.promote("moving", "1", by="ann")
        cache = tmp_path / "cache"
        server = launch("moving", "--poll-interval", "0.1", "--cache", cache, "--cache-size", 0, **variables)
        load = Load(server.wait_ready(), clients=2)
        await load.until_answered_by("1")

        def graph(package: PackagedModel) -> str:
            return f"{bucket}/models/moving/{package.digest}/model.onnx"

        s3.pipe_file(graph(packages[1]), (packages[1].path / "model.onnx").read_bytes()[:-7])
        registry.promote("moving", "2", by="ann")
        message = "version 2 cannot be served; still serving version 1"
        await until(lambda: f"{message}. {graph(packages[1])} does not match the seal" in server.stderr, seconds=30)
        open_store(f"{bucket}/models").put(packages[1], f"moving/{packages[1].digest}")
        await load.until_answered_by("2", seconds=40)  # tried again by itself

        s3.rm_file(graph(packages[2]))
        registry.promote("moving", "3", by="ann")
        message = "version 3 cannot be served; still serving version 2. The package no longer exists at"
        await until(lambda: message in server.stderr, seconds=30)
        registry.remove_alias("moving", "production", by="ann")
        withdraw(registry, "moving")  # all of it, under the gateway's feet
        await until(lambda: "the registry names no version; still serving version 2" in server.stderr, seconds=30)
        await load.until_answered_by("2")
        await load.stop()
        metrics = await metrics_of(server)
        assert samples(metrics, "penstock_loads_total", model="moving", outcome="failed") >= 2
        assert samples(metrics, "penstock_requests_total", outcome="ok") == load.answered
        assert samples(metrics, "penstock_requests_total") == load.answered
        # Nothing may stay but what is loaded: the version that answers, and the one that is kept warm.
        kept = [entry for entry in cache.iterdir() if entry.is_dir() and (entry / "digest").exists()]
        assert {(entry / "digest").read_text().strip() for entry in kept} == {p.digest for p in packages[:2]}
        assert "Traceback" not in server.stderr


@pytest.fixture
def replay() -> Iterator[Replay]:
    server = Replay()
    yield server
    server.close()


async def test_a_registry_that_hangs_or_talks_nonsense_disturbs_nobody(
    launch: Launch, replay: Replay, tmp_path: Path
) -> None:
    names = [f"m{number}=models:/fraud@production" for number in range(8)]  # more than there are threads to share
    server = launch(
        *names, "--registry", replay.url, "--poll-interval", "0.1", "--cache", tmp_path / "cache"
    ).wait_ready()  # fmt: skip
    released, waiting = threading.Event(), []

    def hang(handler: Handler) -> None:
        waiting.append(handler.path)
        released.wait(60)
        handler.say(200, b"<!doctype html><title>Log in</title>", "text/html")

    replay.rules["registered-models/alias"] = hang
    await until(lambda: len(waiting) >= 6, seconds=30)
    body = json.dumps({"inputs": await example_of(server)}).encode()
    packed = gzip.compress(body + b" " * 100_000, 0)
    assert len(packed) > 64 * 1024  # unpacked in a thread
    async with httpx.AsyncClient(base_url=server.url, timeout=5) as client:
        for number in range(8):
            plain = await client.post(f"/models/m{number}/invocations", content=body)
            zipped = await client.post(
                f"/models/m{number}/invocations", content=packed, headers={"Content-Encoding": "gzip"}
            )
            assert (plain.status_code, zipped.status_code) == (200, 200), (plain.text, zipped.text)
            assert plain.json() == zipped.json()
    assert "the registry cannot be queried" not in server.stderr  # nobody has given up yet
    released.set()
    await until(lambda: "does not answer like an MLflow server (text/html)" in server.stderr, seconds=30)
    replay.rules["registered-models/alias"] = lambda handler: handler.say(200, b'{"model_version": {"name": "fr')
    replay.rules["registered-models/get"] = lambda handler: handler.say(200, b"[1, 2")
    before = await errors_of(server)
    deadline = time.monotonic() + 30
    while await errors_of(server) < before + 8:
        assert time.monotonic() < deadline, server.stderr
        await asyncio.sleep(0.05)
    replay.rules.clear()
    await until(lambda: "the registry answers again" in server.stderr, seconds=30)
    assert server.stderr.count("the registry cannot be queried; still serving version 1") == 1  # for all of them
    assert "Traceback" not in server.stderr


async def errors_of(server: ServerProcess) -> float:
    return samples(await metrics_of(server), "penstock_registry_errors_total")


async def example_of(server: ServerProcess) -> Any:
    async with httpx.AsyncClient(base_url=server.url) as client:
        [field] = (await client.get("/models/m0")).json()["signature"]["inputs"]
        return [[0.0] * field["shape"][1]]
