"""One tracking store for each backend. A new backend joins every contract test by an entry here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.tracking.interface import TrackingStore
from penstock.tracking.memory.store import MemoryTrackingStore
from penstock.tracking.opening import open_database
from penstock.tracking.sql.store import SqlTrackingStore
from penstock.tracking.writes import CreateExperiment, CreateRun

ROOT = "mlflow-artifacts:"


def sql_store(url: str) -> SqlTrackingStore:
    database = open_database(url)
    database.migrate()
    return SqlTrackingStore(database, artifact_root=ROOT)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrackingStore]:
    """An empty store, but for the experiment that is always there."""
    if request.param == "memory":
        yield MemoryTrackingStore(artifact_root=ROOT)
        return
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else str(tmp_path / "store")
    with closing(sql_store(url)) as opened:
        yield opened


@pytest.fixture
def experiment(store: TrackingStore) -> str:
    return store.write(CreateExperiment("trees"))


@pytest.fixture
def run_id(store: TrackingStore, experiment: str) -> str:
    return store.write(CreateRun(experiment, name="first", start_time=1000)).run_id
