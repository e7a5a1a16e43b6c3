"""Versions promoted and rolled back under load: no request fails, an answer names the version it came from."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock.package.save import save_model
from penstock.package.seal import write_seal
from penstock.publishing import publish
from penstock.registry import Registry, open_registry
from server.conftest import Connection, Launch, ServerProcess, samples


def adds(amount: float) -> Any:
    """An ONNX graph: y = x + amount, floats of shape (-1, 2)."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "amount"], ["y"])],
        "adds",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(np.array(amount, dtype=np.float32), "amount")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def registry(tmp_path: Path) -> Any:
    """Version v of `moving` adds 1000 × v; version 1 is in production, version 3 fails its example."""
    opened = open_registry(str(tmp_path / "registry"))
    for number in (1, 2, 3):
        example = np.array([[1, 2], [3, 4], [5, 7]], dtype=np.float32)
        package = save_model(adds(1000.0 * number), tmp_path / f"adds-{number}", example=example).path
        if number == 3:
            expected = package / "expected_output.json"
            expected.write_text(expected.read_text().replace("3001.0", "3002.0"))
            write_seal(package)
        publish(opened, "moving", package)
    opened.promote("moving", "1", by="test")
    yield opened
    opened.close()


class Load:
    """Clients that ask without pause, check every answer, and remember which version gave the last ones."""

    def __init__(self, server: ServerProcess, clients: int) -> None:
        self.server = server
        self.stopping = False
        self.answered = 0
        self.seen: list[tuple[float, float, str]] = []  # sent, received, version
        self.tasks = [asyncio.create_task(self._client(n)) for n in range(clients)]

    async def _client(self, number: int) -> None:
        connection = await Connection.open(self.server.address)
        turn = 0
        while not self.stopping:
            turn += 1
            value = float(number * 10 + turn % 10)
            sent = time.monotonic()
            status, headers, answer = await connection.post({"inputs": [[value, 0.0]] * (1 + turn % 3)})
            assert status == 200, (status, answer)
            version = headers["x-model-version"]
            added = 1000.0 * int(version)
            assert answer == {"predictions": {"y": [[value + added, added]] * (1 + turn % 3)}}, f"not version {version}"
            self.answered += 1
            self.seen.append((sent, time.monotonic(), version))
        await connection.close()

    async def until_answered_by(self, version: str, *, seconds: float = 40.0) -> float:
        """Waits until an answer to a request sent from now on comes from this version. Returns when it came."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            for task in self.tasks:
                if task.done():
                    task.result()
            if found := [r for s, r, v in self.seen[-200:] if s > begin and v == version]:
                return found[0]
            await asyncio.sleep(0.01)
        raise AssertionError(f"version {version} did not answer within {seconds:g} s:\n{self.server.stderr}")

    async def stop(self) -> None:
        self.stopping = True
        await asyncio.gather(*self.tasks)


async def metrics_of(server: ServerProcess) -> str:
    async with httpx.AsyncClient(base_url=server.url) as client:
        return (await client.get("/metrics")).text


async def test_versions_are_promoted_and_rolled_back_without_a_failed_request(
    launch: Launch, registry: Registry, tmp_path: Path
) -> None:
    server = launch("moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1").wait_ready()
    load = Load(server, clients=8)
    settled: list[tuple[float, float, str]] = []  # from when until when only this version may have answered
    seen = await load.until_answered_by("1")
    for number in range(6):
        # Promotions that load (the first) or find the version warm, roll-backs that find it warm.
        after, before = ("2", "1") if number % 2 == 0 else ("1", "2")
        settled.append((seen, time.monotonic(), before))
        if after == "2":
            await asyncio.to_thread(registry.promote, "moving", "2", by="test")
        else:
            await asyncio.to_thread(registry.rollback, "moving", by="test")
        seen = await load.until_answered_by(after)
    await load.stop()
    assert load.answered > 300
    for since, until, version in settled:
        assert {v for sent, received, v in load.seen if sent > since and received < until} <= {version}
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_requests_total") == load.answered
    assert samples(metrics, "penstock_requests_total", outcome="ok") == load.answered
    assert samples(metrics, "penstock_swaps_total", model="moving", kind="load") == 1
    assert samples(metrics, "penstock_swaps_total", model="moving", kind="swap") == 1
    assert samples(metrics, "penstock_swaps_total", model="moving", kind="revert") == 5
    assert samples(metrics, "penstock_loads_total", model="moving", outcome="ok") == 2
    assert samples(metrics, "penstock_model_info", version="1", state="current", alias="production") == 1
    assert samples(metrics, "penstock_model_info", version="2", state="previous") == 1
    assert "Traceback" not in server.stderr


@pytest.mark.services
async def test_a_version_that_fails_its_example_leaves_the_old_one_answering(
    launch: Launch, registry: Registry, tmp_path: Path
) -> None:
    server = launch("moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1").wait_ready()
    load = Load(server, clients=4)
    await load.until_answered_by("1")
    registry.promote("moving", "3", by="test")
    deadline = time.monotonic() + 30
    while samples(await metrics_of(server), "penstock_loads_total", model="moving", outcome="failed") == 0:
        assert time.monotonic() < deadline, server.stderr
        await asyncio.sleep(0.02)
    await load.until_answered_by("1")
    assert "version 3 cannot be served; still serving version 1" in server.stderr
    assert "does not repeat its recorded answer" in server.stderr
    registry.promote("moving", "2", by="test")  # the way out, without a restart
    await load.until_answered_by("2")
    await load.stop()
    assert {v for _, _, v in load.seen} == {"1", "2"}
    assert samples(await metrics_of(server), "penstock_requests_total", outcome="ok") == load.answered
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_a_registry_that_goes_away_changes_nothing(launch: Launch, registry: Registry, tmp_path: Path) -> None:
    server = launch("moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1").wait_ready()
    load = Load(server, clients=2)
    await load.until_answered_by("1")
    (tmp_path / "registry").rename(tmp_path / "elsewhere")
    deadline = time.monotonic() + 30
    while samples(await metrics_of(server), "penstock_registry_errors_total", model="moving") < 3:
        assert time.monotonic() < deadline, server.stderr
        await asyncio.sleep(0.02)
    await load.until_answered_by("1")
    assert server.stderr.count("still serving version 1") == 1
    (tmp_path / "elsewhere").rename(tmp_path / "registry")
    back = open_registry(str(tmp_path / "registry"))
    back.promote("moving", "2", by="test")
    back.close()
    await load.until_answered_by("2")
    await load.stop()
