"""Which logged models a search finds, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.mlflow_api.search.entities import LOGGED_MODELS
from penstock.mlflow_api.search.parse import parse_order_fields
from penstock.mlflow_api.search.tree import OrderBy
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.queries import LoggedModelQuery, Page
from penstock.tracking.sql.dialect import any_of
from penstock.tracking.sql.experiments import number_of
from penstock.tracking.sql.logged_models import with_logged
from penstock.tracking.sql.search.compiling import SearchTable, Sql, find_rows

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
    "model_type": "l.model_type",
    "name": "l.name",
    "source_run_id": "l.source_run_id",
    "status": "l.status",
    "status_message": "l.status_message",
}


def find_logged_models(c: Connection, query: LoggedModelQuery) -> Page[LoggedModel]:
    """Raises SearchInvalid, and TrackingInvalid for a limit that is out of bounds."""
    numbers = [number for each in query.experiment_ids if (number := number_of(each)) is not None]
    condition, parameter = any_of(c, "l.experiment", numbers)
    found = find_rows(
        *(c, LOGGED_MODELS, _table(query.datasets), _COLUMNS, "penstock_logged_models l"),
        query=query,
        order=parse_order_fields(LOGGED_MODELS, query.order_by),
        mark=[sorted(numbers), [list(each) for each in query.datasets]],
        conditions=[Sql(condition, (parameter,)), Sql("l.deleted = ?", (False,))],
    )
    return Page(tuple(with_logged(c, found.items)), found.next_token)


def _table(datasets: Sequence[tuple[str, str]]) -> SearchTable:
    """Metrics in filters are those over one of the datasets, where any are given."""
    over = " OR ".join(_over("k", name, digest).text for name, digest in datasets)
    parameters = tuple(p for name, digest in datasets for p in _over("k", name, digest).parameters)
    metrics = "(SELECT model, key, value, 0 AS nan, dataset_name, dataset_digest FROM penstock_logged_model_metrics) k"
    return SearchTable(
        columns=_ATTRIBUTES,
        keys={
            "metric": Sql(
                f"SELECT 1 FROM {metrics} WHERE k.model = l.id{f' AND ({over})' if over else ''}", parameters
            ),
            "param": Sql("SELECT 1 FROM penstock_logged_model_params k WHERE k.model = l.id"),
            "tag": Sql("SELECT 1 FROM penstock_logged_model_tags k WHERE k.model = l.id"),
        },
        sorted_by=_latest,
    )


def _latest(name: str, by: OrderBy) -> Sql:
    """The latest point of a metric of each model, over a dataset if one is named."""
    over = _over("m", by.dataset_name, by.dataset_digest)
    place = "row_number() OVER (PARTITION BY m.model ORDER BY m.step DESC, m.timestamp DESC, m.value DESC)"
    points = f"SELECT m.model, m.value, 0 AS nan, {place} AS place FROM penstock_logged_model_metrics m"
    latest = f"({points} WHERE m.key = ? AND {over.text}) {name} ON {name}.model = l.id AND {name}.place = 1"
    return Sql(latest, (by.key, *over.parameters))


def _over(table: str, name: str, digest: str) -> Sql:
    """A point measured over this dataset; both may be empty, for any."""
    wanted = [(column, text) for column, text in (("dataset_name", name), ("dataset_digest", digest)) if text]
    condition = " AND ".join(f"{table}.{column} = ?" for column, _ in wanted)
    return Sql(f"({condition or '1 = 1'})", tuple(text for _, text in wanted))
