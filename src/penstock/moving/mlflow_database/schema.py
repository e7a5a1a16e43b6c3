"""Which schemas of MLflow are known, and which of their columns are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.errors import ImportFailed, remedy
from penstock.moving.mlflow_database.connections import ReadOnlyConnection
from penstock.moving.source import refused_store

# Every revision of MLflow's one chain of migrations up to release 3.18 (mlflow/store/db_migrations/versions).
_REVISIONS = """
0584bdc529eb 0a8213491aaa 0c779009ac13 17e22815139b 181f10493468 1971f2d9a75b 1a0cddfcaa16 1b5f0d9ad7c1
1bd49d398cd23 27a6a02d2cf1 2b4d017a5e9b 2c33131f4dae 2d6e25af4d3e 3500859a5d39 39d1c3be5f05 3da73c924c2f
400f98739977 4465047574b1 451aebb31d03 534353b11cbc 5b0e9adcef9c 5d2d30f0abce 6953534de441 6f8d9c3b2a1e
71994744cf8e 728d730b5ebd 75868b020152 76601a5f987d 770bee3ae1dd 7ac759974ad8 7d34483879f0 7f2a7d5fae7d
84291f40a231 867495a8f9d4 89d3d66ed43f 89d4b8295536 8b6ad64cb8f5 90e64c465722 97727af70f4d a1b2c3d4e5f6
a5b4c3d2e1f0 a8b9c0d1e2f3 a8c4a736bde6 acf3f17fdcc7 ae8bbe7743c9 b7c8d9e0f1a2 b7e2c1a4d9f3 b7e4c1a90f23
bd07f7e963c5 bda7b8c39065 bf29a5ff90ea c1d2e3f4a5b6 c3d6457b6d8a c3d9e7f1a2b4 c48cb773bb87 c8d9e0f1a2b3
c9d4e5f6a7b8 cbc13b556ace cc1f77228345 cfd24bdc0731 d0e1f2a3b4c5 d3e4f5a6b7c8 da6fb0208061 dc11669786a5
de4033877273 df50e92ffc5e e1f2a3b4c5d6 e7d1f4b2a9c6 f4a9b2c7d1e6 f5a4f2784254
"""
KNOWN_REVISIONS = frozenset(_REVISIONS.split())

# The one workspace that every server has.
WORKSPACE = "default"

# What an import cannot do without, by table.
_NEEDED: Mapping[str, Sequence[str]] = {
    "experiments": ("experiment_id", "name", "artifact_location", "lifecycle_stage"),
    "runs": ("run_uuid", "experiment_id", "status", "start_time", "end_time", "lifecycle_stage", "artifact_uri"),
    "metrics": ("key", "value", "timestamp", "run_uuid", "step", "is_nan"),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
}

# Tables that came later: none of them is looked at where it is not there.
_OTHERS = (
    "experiment_tags",
    "datasets",
    "inputs",
    "input_tags",
    "logged_models",
    "logged_model_metrics",
    "logged_model_params",
    "logged_model_tags",
    "registered_models",
    "model_versions",
    "registered_model_tags",
    "registered_model_aliases",
    "model_version_tags",
)


class MlflowSchema:
    """The tables of one database. `revision` is the one of its migrations."""

    def __init__(self, revision: str, tables: Mapping[str, frozenset[str]]) -> None:
        self.revision = revision
        self._tables = tables

    def __repr__(self) -> str:
        return f"<MlflowSchema {self.revision}: {len(self._tables)} tables>"

    def has(self, table: str, column: str = "") -> bool:
        columns = self._tables.get(table, frozenset())
        return column in columns if column else bool(columns)

    def listed(self, table: str, columns: Sequence[str], alias: str = "") -> str:
        """Columns for a SELECT; those that are not there in this schema are NULL."""
        beginning = f"{alias}." if alias else ""
        return ", ".join(f'{beginning}"{name}"' if self.has(table, name) else "NULL" for name in columns)


def read_schema(connection: ReadOnlyConnection, *, accept_unknown: bool = False) -> MlflowSchema:
    """Raises ImportFailed for what is no database of MLflow's, and for a revision that this release does not know,
    unless that is accepted: then the columns that are needed must be there."""
    if not connection.columns("alembic_version") or not connection.columns("experiments"):
        if connection.columns("penstock_models"):
            raise refused_store(connection.place)
        raise ImportFailed(
            f"The database at {connection.place} is none of MLflow's: it lacks alembic_version or experiments.",
            hint="Name what the server was started with: mlflow server --backend-store-uri SOURCE.",
        )
    revision = str(connection.scalar("SELECT version_num FROM alembic_version") or "")
    if revision not in KNOWN_REVISIONS and not accept_unknown:
        raise ImportFailed(
            f"The database at {connection.place} has the schema {revision[:40]!r}, which is later than MLflow 3.18's: "
            "this release does not know it.",
            hint="Upgrade Penstock.",
            remedy=remedy("accept_schema"),
        )
    tables = {table: connection.columns(table) for table in (*_NEEDED, *_OTHERS)}
    for table, columns in _NEEDED.items():
        if missing := [name for name in columns if name not in tables[table]]:
            raise ImportFailed(
                f"The table {table} at {connection.place} has no column {missing[0]}: its schema {revision[:40]!r} "
                "cannot be imported.",
                hint="Bring the database to MLflow's present schema first, on a copy of it: mlflow db upgrade URL",
            )
    return MlflowSchema(revision, tables)
