"""`penstock serve 'team-*'` in real processes: models come and go while it runs, in one process and in several."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.publishing import publish
from penstock.registry import Registry, open_registry
from server.conftest import Launch, ServerProcess, samples


@pytest.fixture
def registry(tmp_path: Path, identity_onnx_package: Path) -> Any:
    """`team-a` and `team-bad` of the team, in production; the second one cannot be loaded."""
    opened = open_registry(str(tmp_path / "registry"))
    for name in ("team-a", "team-bad"):
        publish(opened, name, identity_onnx_package, alias="production")
    where = Path(opened.resolve("team-bad").source)
    (where / "model.onnx").write_bytes(b"nonsense")
    yield opened
    opened.close()


async def ask(client: httpx.AsyncClient, name: str) -> int:
    """Over a connection of its own: any worker may answer."""
    path = f"/models/{name}/invocations"
    answer = await client.post(path, json={"inputs": [[1, 2, 3]]}, headers={"connection": "close"})
    return answer.status_code


async def becomes(client: httpx.AsyncClient, name: str, status: int, server: ServerProcess) -> None:
    """Waits until whoever is asked answers with this status."""
    in_a_row = 0
    async with asyncio.timeout(60):
        while in_a_row < 6:
            in_a_row = in_a_row + 1 if await ask(client, name) == status else 0
            assert server.process.poll() is None, server.stderr
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.services)])
async def test_models_come_and_go_while_it_runs(
    launch: Launch, registry: Registry, tmp_path: Path, identity_onnx_package: Path, workers: int
) -> None:
    (tmp_path / "penstock.toml").write_text(
        f"""
        poll_interval = 0.2
        registry = "{tmp_path / "registry"}"
        [models."team-*"]
        keep_previous = 0.5
        max_queue_rows = 100
        [models.own]
        model = "{identity_onnx_package}"
        """
    )
    server = launch("-w", workers).wait_ready()
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        assert (await client.get("/readyz")).json()["ready"]  # the broken one holds nobody up
        await becomes(client, "team-a", 200, server)
        await becomes(client, "own", 200, server)
        assert await ask(client, "team-bad") == 503
        shown = (await client.get("/models/team-bad")).json()
        assert (shown["ready"], shown["failure"]["code"]) == (False, "seal_broken")
        await asyncio.to_thread(publish, registry, "team-new", identity_onnx_package, alias="production")
        await becomes(client, "team-new", 200, server)
        names = [m["name"] for m in (await client.get("/models")).json()["models"]]
        assert names == ["own", "team-a", "team-bad", "team-new"]
        assert "/models/team-new/invocations" in (await client.get("/openapi.json")).json()["paths"]
        metrics = (await client.get("/metrics")).text
        assert samples(metrics, "penstock_queue_limit_rows", model="team-new") == 100 * workers
        assert samples(metrics, "penstock_model_info", model="team-new", alias="production") == 1
        registry.remove_alias("team-new", "production", by="test")
        registry.remove_alias("team-bad", "production", by="test")
        registry.delete("team-bad")
        await becomes(client, "team-new", 404, server)
        await becomes(client, "team-bad", 404, server)
        registry.promote("team-new", "1", by="test")
        await becomes(client, "team-new", 200, server)
        assert (await client.get("/readyz")).json()["ready"]
    assert "Traceback" not in server.stderr
    assert "restarting" not in server.stderr
    server.signal()
    assert await asyncio.to_thread(server.wait_exit) == 0


async def test_a_server_whose_pattern_matches_nothing_is_ready(
    launch: Launch, registry: Registry, tmp_path: Path
) -> None:
    server = launch("--models", "nobody-*", "--registry", tmp_path / "registry", "-w", 2).wait_ready()
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        assert (await client.get("/readyz")).json()["ready"]
        assert (await client.get("/models")).json() == {"models": [], "default": None}
    assert "no model matches yet" in server.stderr
