"""How what a person names becomes a source of imports."""

from __future__ import annotations

from pathlib import Path

from penstock.moving.source import ImportSource, refused_store
from penstock.store_places import DATABASE_FILE


def open_import_source(source: str, *, accept_unknown: bool = False) -> ImportSource:
    """A SQLite file or the URL of a database as MLflow takes it, a directory of its file store, or the address of a
    server. Raises ConfigError, DependencyMissing, ImportFailed.

    `accept_unknown` reads a schema of MLflow that this release does not know by the columns that it does know."""
    if "://" not in source and Path(source).is_dir():
        if (Path(source) / DATABASE_FILE).is_file():
            raise refused_store(source)
        from penstock.moving.mlruns.source import open_mlruns

        return open_mlruns(source)
    if source.startswith(("http://", "https://")):
        from penstock.moving.mlflow_server.source import open_mlflow_server

        return open_mlflow_server(source)
    from penstock.moving.mlflow_database.source import open_mlflow_database

    return open_mlflow_database(source, accept_unknown=accept_unknown)
