"""A hub in this process: over the store in memory, asked through ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from penstock.assembly.hub import HubOptions, open_stores
from penstock.hub.access.gate import HubGate
from penstock.hub.access.tokens import TokenTable
from penstock.hub.app import HubApp
from penstock.hub.handlers.table import ROUTES
from penstock.hub.service import Hub, OpenedStores
from penstock.metrics import HubMetrics

API = "/api/2.0/mlflow/"


class HubCalls:
    """A client of a hub in this process, and what the hub stands on."""

    def __init__(self, client: httpx.AsyncClient, opened: OpenedStores, app: HubApp) -> None:
        self.client = client
        self.opened = opened
        self.app = app

    @property
    def tokens(self) -> TokenTable:
        return self.opened.tokens

    async def post(self, path: str, /, **content: Any) -> httpx.Response:
        return await self.client.post(f"{API}{path}", json=content)

    async def get(self, path: str, /, **query: Any) -> httpx.Response:
        return await self.client.get(path if path.startswith("/") else f"{API}{path}", params=query)

    async def made_run(self, experiment: str = "0", **fields: Any) -> str:
        answer = await self.post("runs/create", experiment_id=experiment, start_time=1, **fields)
        return str(answer.json()["run"]["info"]["run_id"])


async def until(happened: Callable[[], bool]) -> None:
    """Looks again and again, for five seconds and more."""
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not happen")


@pytest.fixture
def gate() -> HubGate:
    return HubGate(asks_for_tokens=False)


@asynccontextmanager
async def hub_over(
    store: str,
    artifacts: Path | str,
    gate: HubGate | None = None,
    scrape: Callable[[], Awaitable[bytes]] | None = None,
) -> AsyncIterator[HubCalls]:
    """A hub in this process over a store, which is made if it is not there."""
    gate = gate or HubGate(asks_for_tokens=False)
    opened: list[OpenedStores] = []

    def open_them() -> OpenedStores:
        opened.append(open_stores(HubOptions(store, str(artifacts))))
        return opened[0]

    service = Hub(open_them, gate, HubMetrics(), scrape=scrape)
    await service.start()
    app = HubApp(ROUTES, service, gate)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield HubCalls(client, opened[0], app)
    await service.close()


@pytest_asyncio.fixture
async def hub(tmp_path: Path, gate: HubGate) -> AsyncIterator[HubCalls]:
    """Over SQLite, as the embedded default."""
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts", gate) as calls:
        yield calls
