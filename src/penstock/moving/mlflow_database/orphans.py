"""Rows that belong to nothing: SQLite lets them be, and so did some of MLflow's own clean-ups. And how many rows there
are at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from penstock.moving.mlflow_database.cells import text
from penstock.moving.mlflow_database.connections import ReadOnlyConnection
from penstock.moving.mlflow_database.schema import WORKSPACE, MlflowSchema
from penstock.moving.records import Broken, Kind


class _Child(NamedTuple):
    """Rows of a table that name their parent in a column."""

    kind: Kind
    table: str
    column: str
    parent: str
    parent_column: str
    where: str = ""


_CHILDREN = (
    _Child("experiment tags", "experiment_tags", "experiment_id", "experiments", "experiment_id"),
    _Child("params", "params", "run_uuid", "runs", "run_uuid"),
    _Child("tags", "tags", "run_uuid", "runs", "run_uuid"),
    _Child("metric points", "metrics", "run_uuid", "runs", "run_uuid"),
    _Child("logged model params", "logged_model_params", "model_id", "logged_models", "model_id"),
    _Child("logged model tags", "logged_model_tags", "model_id", "logged_models", "model_id"),
    _Child("logged model metrics", "logged_model_metrics", "model_id", "logged_models", "model_id"),
    _Child("model versions", "model_versions", "name", "registered_models", "name"),
    _Child("registered model tags", "registered_model_tags", "name", "registered_models", "name"),
    _Child("aliases", "registered_model_aliases", "name", "registered_models", "name"),
    _Child("model version tags", "model_version_tags", "name", "registered_models", "name"),
    _Child(
        "dataset inputs",
        "inputs",
        "destination_id",
        "runs",
        "run_uuid",
        "source_type = 'DATASET' AND destination_type = 'RUN'",
    ),
    _Child("models of runs", "inputs", "source_id", "runs", "run_uuid", "source_type IN ('RUN_INPUT', 'RUN_OUTPUT')"),
)
_COUNTED: Mapping[Kind, tuple[str, str]] = {
    "experiments": ("experiments", ""),
    "runs": ("runs", ""),
    "logged models": ("logged_models", ""),
    "registered models": ("registered_models", ""),
    **{each.kind: (each.table, each.where) for each in _CHILDREN},
}


def count_rows(c: ReadOnlyConnection, schema: MlflowSchema) -> dict[Kind, int]:
    """Of each kind; 0 where the schema has no such table yet."""
    found: dict[Kind, int] = {}
    for kind, (table, where) in _COUNTED.items():
        condition = f" WHERE {where}" if where else ""
        found[kind] = int(c.scalar(f"SELECT count(*) FROM {table}{condition}")) if schema.has(table) else 0
    return found


def count_children(c: ReadOnlyConnection, schema: MlflowSchema, parent: str, cell: Any) -> dict[Kind, int]:
    """What hangs on one row of a table, by the cell that it is known by."""
    found: dict[Kind, int] = {}
    for each in _CHILDREN:
        if each.parent == parent and schema.has(each.table):
            where = f" AND {each.where}" if each.where else ""
            here = f" AND workspace = '{WORKSPACE}'" if schema.has(each.table, "workspace") else ""
            count = int(c.scalar(f"SELECT count(*) FROM {each.table} WHERE {each.column} = ?{where}{here}", cell))
            if count:
                found[each.kind] = count
    return found


def read_orphans(c: ReadOnlyConnection, schema: MlflowSchema) -> Iterator[Broken]:
    for child in _CHILDREN:
        if schema.has(child.table) and schema.has(child.parent):
            yield from _orphans_of(c, child)
    if schema.has("inputs") and schema.has("datasets"):
        statement = (
            "SELECT i.destination_id, count(*) FROM inputs i JOIN runs r ON r.run_uuid = i.destination_id "
            "LEFT JOIN datasets d ON d.dataset_uuid = i.source_id "
            "WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND d.dataset_uuid IS NULL "
            "GROUP BY i.destination_id"
        )
        for run_id, count in c.rows(statement):
            yield Broken("dataset inputs", text(run_id)[:80], "there is no such dataset", count)


def _orphans_of(c: ReadOnlyConnection, child: _Child) -> Iterator[Broken]:
    where = f" WHERE {child.where}" if child.where else ""
    statement = (
        f"SELECT * FROM (SELECT {child.column} AS parent, count(*) AS held FROM {child.table}{where} "
        f"GROUP BY {child.column}) each_parent "
        f"WHERE NOT EXISTS (SELECT 1 FROM {child.parent} p WHERE p.{child.parent_column} = each_parent.parent)"
    )
    noun = {"runs": "run", "experiments": "experiment"}.get(child.parent, "model")
    for parent, count in c.rows(statement):
        yield Broken(child.kind, text(parent)[:80], f"there is no such {noun}", count)
