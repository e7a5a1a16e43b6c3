"""Which models and versions a search finds, a page at a time: the page's keys first, then what is told of them."""

from __future__ import annotations

from sqlalchemy import Connection

from penstock.mlflow_api.search.entities import MODEL_VERSIONS, REGISTERED_MODELS
from penstock.mlflow_api.search.paging import Page
from penstock.mlflow_api.search.parse import parse_order_by
from penstock.registry.entries import ModelQuery, VersionQuery
from penstock.sql.search.compiling import SearchTable, Sql, find_rows

_LIVING = Sql("m.deleted = ?", (False,))
_TAGS = {"sqlite": "json_each({0}.tags)", "postgresql": "json_each_text({0}.tags::json)"}
# Times are kept as SQLAlchemy keeps them; a search sorts by milliseconds.
_MILLISECONDS = {
    "sqlite": "CAST(round((julianday({0}) - 2440587.5) * 86400000.0) AS INTEGER)",
    "postgresql": "CAST(floor(extract(epoch FROM {0}) * 1000) AS bigint)",
}


def find_model_keys(c: Connection, query: ModelQuery) -> Page[int]:
    """Raises SearchInvalid, and TrackingInvalid for a limit that is out of bounds."""
    milliseconds = _MILLISECONDS[c.dialect.name]
    table = SearchTable(
        columns={
            "name": "m.name",
            "creation_timestamp": milliseconds.format("m.created_at"),
            "last_updated_timestamp": milliseconds.format("m.updated_at"),
        },
        keys={"tag": _tags(c, "m")},
    )
    found = find_rows(
        *(c, REGISTERED_MODELS, table, "m.id", "penstock_models m"),
        query=query,
        order=parse_order_by(REGISTERED_MODELS, query.order_by),
        mark=[],
        conditions=[_LIVING],
    )
    return Page(tuple(key for (key,) in found), found.next_token)


def find_version_keys(c: Connection, query: VersionQuery) -> Page[tuple[int, int]]:
    """The keys of models and the numbers. Raises SearchInvalid, and TrackingInvalid for a limit that is out of
    bounds."""
    milliseconds = _MILLISECONDS[c.dialect.name]
    table = SearchTable(
        columns={
            "name": "m.name",
            "version_number": "v.number",
            "run_id": "v.run_id",
            "source_path": "(CASE WHEN v.origin != '' THEN v.origin ELSE v.source END)",
            "creation_timestamp": milliseconds.format("v.created_at"),
            "last_updated_timestamp": milliseconds.format("v.updated_at"),
        },
        keys={"tag": _tags(c, "v")},
    )
    found = find_rows(
        *(c, MODEL_VERSIONS, table, "v.model_id, v.number"),
        "penstock_versions v JOIN penstock_models m ON m.id = v.model_id",
        query=query,
        order=parse_order_by(MODEL_VERSIONS, query.order_by),
        mark=[],
        conditions=[_LIVING],
    )
    return Page(tuple((model_id, number) for model_id, number in found), found.next_token)


def _tags(c: Connection, row: str) -> Sql:
    """A table of the JSON text's keys and values."""
    return Sql(f"SELECT 1 FROM {_TAGS[c.dialect.name].format(row)} k WHERE 1 = 1")
