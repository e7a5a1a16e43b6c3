"""A database like MLflow's, in SQLite: its tables as releases 3.18 and 1.30 have them, and rows of one's choice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

NEWEST = "f4a9b2c7d1e6"
OLD = "cc1f77228345"

_TABLES = """
CREATE TABLE alembic_version (version_num VARCHAR(32));
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT, lifecycle_stage TEXT,
    creation_time BIGINT, last_update_time BIGINT, workspace TEXT DEFAULT 'default' NOT NULL);
CREATE TABLE experiment_tags ("key" TEXT, value TEXT, experiment_id INTEGER, PRIMARY KEY ("key", experiment_id));
CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, name TEXT, user_id TEXT, status TEXT, start_time BIGINT,
    end_time BIGINT, lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER, deleted_time BIGINT);
CREATE TABLE params ("key" TEXT, value TEXT, run_uuid TEXT, PRIMARY KEY ("key", run_uuid));
CREATE TABLE tags ("key" TEXT, value TEXT, run_uuid TEXT, PRIMARY KEY ("key", run_uuid));
CREATE TABLE metrics ("key" TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT DEFAULT 0,
    is_nan BOOLEAN DEFAULT 0, PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
"""
_LATER_TABLES = """
CREATE TABLE datasets (dataset_uuid TEXT, experiment_id INTEGER, name TEXT, digest TEXT, dataset_source_type TEXT,
    dataset_source TEXT, dataset_schema TEXT, dataset_profile TEXT, PRIMARY KEY (experiment_id, name, digest));
CREATE TABLE inputs (input_uuid TEXT, source_type TEXT, source_id TEXT, destination_type TEXT, destination_id TEXT,
    step BIGINT DEFAULT 0, PRIMARY KEY (source_type, source_id, destination_type, destination_id));
CREATE TABLE input_tags (input_uuid TEXT, name TEXT, value TEXT, PRIMARY KEY (input_uuid, name));
CREATE TABLE logged_models (model_id TEXT PRIMARY KEY, experiment_id INTEGER, name TEXT, artifact_location TEXT,
    creation_timestamp_ms BIGINT, last_updated_timestamp_ms BIGINT, status INTEGER, lifecycle_stage TEXT,
    model_type TEXT, source_run_id TEXT, status_message TEXT);
CREATE TABLE logged_model_metrics (model_id TEXT, metric_name TEXT, metric_timestamp_ms BIGINT, metric_step BIGINT,
    metric_value FLOAT, experiment_id INTEGER, run_id TEXT, dataset_uuid TEXT, dataset_name TEXT, dataset_digest TEXT,
    PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id));
CREATE TABLE logged_model_params (model_id TEXT, experiment_id INTEGER, param_key TEXT, param_value TEXT);
CREATE TABLE logged_model_tags (model_id TEXT, experiment_id INTEGER, tag_key TEXT, tag_value TEXT);
CREATE TABLE registered_models (name TEXT, creation_time BIGINT, last_updated_time BIGINT, description TEXT,
    workspace TEXT DEFAULT 'default' NOT NULL, PRIMARY KEY (workspace, name));
CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time BIGINT, last_updated_time BIGINT,
    description TEXT, user_id TEXT, current_stage TEXT, source TEXT, run_id TEXT, status TEXT, status_message TEXT,
    run_link TEXT, storage_location TEXT, workspace TEXT DEFAULT 'default' NOT NULL,
    PRIMARY KEY (workspace, name, version));
CREATE TABLE registered_model_tags ("key" TEXT, value TEXT, name TEXT, workspace TEXT DEFAULT 'default' NOT NULL);
CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT,
    workspace TEXT DEFAULT 'default' NOT NULL);
CREATE TABLE model_version_tags ("key" TEXT, value TEXT, name TEXT, version INTEGER,
    workspace TEXT DEFAULT 'default' NOT NULL);
"""
_NOT_YET = ("creation_time", "last_update_time", "workspace")


class MlflowTables:
    """A file that can be written to, as MLflow does: each call is a transaction of its own."""

    def __init__(self, path: Path, revision: str = NEWEST) -> None:
        self.path = path
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_TABLES)
            if revision == OLD:
                for column in _NOT_YET:
                    connection.execute(f"ALTER TABLE experiments DROP COLUMN {column}")
                connection.execute("ALTER TABLE runs DROP COLUMN deleted_time")
            else:
                connection.executescript(_LATER_TABLES)
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
            connection.commit()

    def insert(self, table: str, *rows: dict[str, Any]) -> None:
        """Rows with the same columns."""
        names = list(rows[0])
        columns = ", ".join(f'"{name}"' for name in names)
        statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executemany(statement, [tuple(row.values()) for row in rows])
            connection.commit()

    def run(self, statement: str, *parameters: Any) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(statement, parameters)
            connection.commit()

    def add_experiment(self, number: int, name: str, **other: Any) -> None:
        self.insert(
            "experiments",
            {"experiment_id": number, "name": name, "artifact_location": f"/mlruns/{number}"}
            | {"lifecycle_stage": "active", **other},
        )

    def add_run(self, run_id: str, experiment: int = 1, **other: Any) -> None:
        given = {"run_uuid": run_id, "name": f"run {run_id}", "user_id": "ann", "status": "FINISHED", "start_time": 10}
        given |= {
            "end_time": 20,
            "lifecycle_stage": "active",
            "artifact_uri": f"/mlruns/{experiment}/{run_id}/artifacts",
        }
        self.insert("runs", {**given, "experiment_id": experiment, **other})

    def add_points(self, run_id: str, key: str, points: list[tuple[int, int, float]], nan: bool = False) -> None:
        """Each a step, a timestamp and a value."""
        self.insert(
            "metrics",
            *(
                {"key": key, "value": v, "timestamp": t, "run_uuid": run_id, "step": s, "is_nan": nan}
                for s, t, v in points
            ),
        )
