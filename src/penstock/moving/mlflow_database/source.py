"""MlflowDatabase: MLflow's database as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from penstock.moving.mlflow_database import logged_models, orphans, points, registered_models, runs
from penstock.moving.mlflow_database.connections import ReadOnlyConnection, open_source
from penstock.moving.mlflow_database.schema import read_schema
from penstock.moving.records import Broken, Kind, PointBlock, SourceLoggedModel, SourceModel, SourceRun
from penstock.moving.source import ImportSource
from penstock.tracking.experiments import Experiment


class MlflowDatabase(ImportSource):
    """See `ImportSource` for what each method does. `accept_unknown` as in `read_schema`."""

    def __init__(self, connection: ReadOnlyConnection, *, accept_unknown: bool = False) -> None:
        self._connection = connection
        self._schema = read_schema(connection, accept_unknown=accept_unknown)

    def __repr__(self) -> str:
        return f"<MlflowDatabase {self._connection.place} {self._schema.revision}>"

    @property
    def place(self) -> str:
        return self._connection.place

    @property
    def directory(self) -> str:
        return self._connection.directory

    def counts(self) -> Mapping[Kind, int]:
        return orphans.count_rows(self._connection, self._schema)

    def experiments(self) -> Iterator[Experiment | Broken]:
        return runs.read_experiments(self._connection, self._schema)

    def runs(self) -> Iterator[Sequence[SourceRun | Broken]]:
        return runs.read_runs(self._connection, self._schema)

    def points(self, given: Sequence[SourceRun]) -> Iterator[PointBlock | Broken]:
        return points.read_points(self._connection, given)

    def logged_models(self) -> Iterator[Sequence[SourceLoggedModel | Broken]]:
        return logged_models.read_logged_models(self._connection, self._schema)

    def registered_models(self) -> Iterator[SourceModel | Broken]:
        yield from registered_models.read_models(self._connection, self._schema)

    def orphans(self) -> Iterator[Broken]:
        yield from orphans.read_orphans(self._connection, self._schema)
        yield from registered_models.read_other_workspaces(self._connection, self._schema)

    def close(self) -> None:
        self._connection.close()


def open_mlflow_database(url: str, *, accept_unknown: bool = False) -> MlflowDatabase:
    """Raises ConfigError, DependencyMissing, ImportFailed."""
    connection = open_source(url)
    try:
        return MlflowDatabase(connection, accept_unknown=accept_unknown)
    except BaseException:
        connection.close()
        raise
