"""A database of MLflow's, a store, and imports from one into the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from moving.mlflow_tables import MlflowTables
from penstock.assembly.hub import HubOptions, open_stores
from penstock.hub.service import OpenedStores
from penstock.moving.importer import ImportOptions
from penstock.moving.running import run_import
from penstock.moving.tally import CountedKind, ImportReport
from penstock.tracking.opening import open_database


@dataclass
class Store:
    """A store that may be in use by a hub, and a place for its files."""

    url: str
    artifacts: str

    def bring(
        self, source: Path | str, options: ImportOptions | None = None, *, accept_unknown: bool = False
    ) -> ImportReport:
        given = options or ImportOptions()
        return run_import(
            str(source), self.url, self.artifacts, given, lambda *told: None, accept_unknown=accept_unknown
        )

    @contextmanager
    def opened(self) -> Iterator[OpenedStores]:
        stores = open_stores(HubOptions(self.url, self.artifacts))
        with closing(stores.tracking):
            yield stores


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), str(tmp_path / "artifacts"))


@pytest.fixture
def postgres_store(postgres_url: str, tmp_path: Path) -> Store:
    with closing(open_database(postgres_url)) as database:
        database.migrate()
    return Store(postgres_url, str(tmp_path / "artifacts"))


@pytest.fixture
def tables(tmp_path: Path) -> MlflowTables:
    """With the default experiment, and one more."""
    made = MlflowTables(tmp_path / "mlflow.db")
    made.add_experiment(0, "Default", creation_time=5, last_update_time=5)
    made.add_experiment(1, "trees", creation_time=7, last_update_time=8)
    return made


@pytest.fixture
def line() -> Callable[[ImportReport, str], CountedKind]:
    """The line of a report for a kind."""
    return lambda report, kind: next(each for each in report.counted if each.kind == kind)
