"""Which logged models a search finds, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.mlflow_api.search.entities import LOGGED_MODELS
from penstock.mlflow_api.search.parse import parse_filter, parse_order_fields
from penstock.mlflow_api.search.tree import OrderBy
from penstock.sql.dialect import any_of
from penstock.sql.search.compiling import SearchTable, Sql, find_rows
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.queries import LoggedModelQuery, Page
from penstock.tracking.sql.experiments import number_of
from penstock.tracking.sql.logged_models import with_logged

_COLUMNS = (
    "l.id, l.model_id, l.experiment, l.name, l.artifact_uri, l.created_at, l.updated_at, l.status, l.status_message, "
    "l.model_type, l.source_run_id"
)

_ATTRIBUTES = {
    "artifact_location": "l.artifact_uri",
    "creation_timestamp_ms": "l.created_at",
    "experiment_id": "l.experiment",
    "last_updated_timestamp_ms": "l.updated_at",
    "model_id": "l.model_id",
    "model_type": "NULLIF(l.model_type, '')",
    "name": "l.name",
    "source_run_id": "NULLIF(l.source_run_id, '')",
    "status": "l.status",
    "status_message": "NULLIF(l.status_message, '')",
}
_NULLABLE = frozenset({"model_type", "source_run_id", "status_message"})


def find_logged_models(c: Connection, query: LoggedModelQuery) -> Page[LoggedModel]:
    """Raises SearchInvalid, and TrackingInvalid for a limit that is out of bounds."""
    numbers = [number for each in query.experiment_ids if (number := number_of(each)) is not None]
    condition, parameter = any_of(c, "l.experiment", numbers)
    over = _over_any(query.datasets)
    conditions = [Sql(condition, (parameter,)), Sql("l.deleted = ?", (False,))]
    if query.datasets and not any(each.kind == "metric" for each in parse_filter(LOGGED_MODELS, query.filter)):
        measured = f"SELECT 1 FROM penstock_logged_model_metrics m WHERE m.model = l.id AND {over.text}"
        conditions.append(Sql(f"EXISTS ({measured})", over.parameters))
    found = find_rows(
        *(c, LOGGED_MODELS, _table(over), _COLUMNS, "penstock_logged_models l"),
        query=query,
        order=parse_order_fields(LOGGED_MODELS, query.order_by),
        mark=[sorted(numbers), [list(each) for each in query.datasets]],
        conditions=conditions,
    )
    return Page(tuple(with_logged(c, found.items)), found.next_token)


def _table(over: Sql) -> SearchTable:
    """Metrics, in filters and in orders, are the latest ones over any of the datasets."""
    return SearchTable(
        columns=_ATTRIBUTES,
        nullable=_NULLABLE,
        keys={
            "param": Sql("SELECT 1 FROM penstock_logged_model_params k WHERE k.model = l.id"),
            "tag": Sql("SELECT 1 FROM penstock_logged_model_tags k WHERE k.model = l.id"),
        },
        sorted_by=lambda name, by: _sorted_by(name, by, over),
        metric=lambda key: _latest(key, over),
    )


_LATEST_FIRST = "m.step DESC, m.timestamp DESC, m.value DESC"


def _latest(key: str, over: Sql) -> Sql:
    """One model's latest value, from the few rows of it and the key."""
    points = f"SELECT m.value FROM penstock_logged_model_metrics m WHERE m.model = l.id AND m.key = ? AND {over.text}"
    return Sql(f"{points} ORDER BY {_LATEST_FIRST} LIMIT 1", (key, *over.parameters))


def _sorted_by(name: str, by: OrderBy, over: Sql) -> tuple[Sql, Sql]:
    """The latest values of all models, over a dataset if one is named."""
    own = _over(by.dataset_name, by.dataset_digest)
    place = f"row_number() OVER (PARTITION BY m.model ORDER BY {_LATEST_FIRST})"
    points = f"SELECT m.model, m.value, 0 AS nan, {place} AS place FROM penstock_logged_model_metrics m"
    latest = f"({points} WHERE m.key = ? AND {own.text} AND {over.text}) {name}"
    table = Sql(latest, (by.key, *own.parameters, *over.parameters))
    return table, Sql(f"{name}.model = l.id AND {name}.place = 1")


def _over_any(datasets: Sequence[tuple[str, str]]) -> Sql:
    """A point measured over one of the datasets; any point, where there are none."""
    each = [_over(name, digest) for name, digest in datasets]
    text = " OR ".join(one.text for one in each) or "1 = 1"
    return Sql(f"({text})", tuple(p for one in each for p in one.parameters))


def _over(name: str, digest: str) -> Sql:
    """A point measured over this dataset; both may be empty, for any."""
    wanted = [(column, text) for column, text in (("dataset_name", name), ("dataset_digest", digest)) if text]
    condition = " AND ".join(f"m.{column} = ?" for column, _ in wanted)
    return Sql(f"({condition or '1 = 1'})", tuple(text for _, text in wanted))
