"""A hub over SQLite or PostgreSQL, with things deleted in it, and a collector on the same store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from hub.conftest import HubCalls, hub_over
from penstock.artifacts.trees import LocalTree
from penstock.hub.gc.collector import StoreCollector
from penstock.sql.database import Database
from penstock.tracking.opening import open_database

FILES = "/api/2.0/mlflow-artifacts/artifacts"
PROXIED = "mlflow-artifacts:"


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLite, unless a test says otherwise."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return str(tmp_path / "store")
    url = str(request.getfixturevalue("postgres_url"))
    with closing(open_database(url)) as database:
        database.migrate()
    return url


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest_asyncio.fixture
async def hub(store: str, root: Path) -> AsyncIterator[HubCalls]:
    async with hub_over(store, root) as calls:
        yield calls


@pytest.fixture
def database(store: str, hub: HubCalls) -> Iterator[Database]:
    """The store's, opened beside the hub."""
    with closing(open_database(store)) as opened:
        yield opened


@pytest.fixture
def collector(database: Database, root: Path) -> StoreCollector:
    return StoreCollector(database, LocalTree(root), str(root), time.time())


async def put(hub: HubCalls, path: str, content: bytes = b"x") -> None:
    assert (await hub.client.put(f"{FILES}/{path}", content=content)).status_code == 200


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
