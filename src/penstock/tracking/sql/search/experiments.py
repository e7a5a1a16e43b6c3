"""Which experiments a search finds, a page at a time."""

from __future__ import annotations

from sqlalchemy import Connection

from penstock.mlflow_api.search.entities import EXPERIMENTS
from penstock.mlflow_api.search.parse import parse_order_by
from penstock.sql.search.compiling import SearchTable, Sql, find_rows
from penstock.tracking.experiments import Experiment
from penstock.tracking.queries import ExperimentQuery, Page
from penstock.tracking.sql.experiments import with_tags
from penstock.tracking.sql.search.views import of_view

_TABLE = SearchTable(
    columns={
        "creation_time": "e.created_at",
        "experiment_id": "e.id",
        "last_update_time": "e.updated_at",
        "name": "e.name",
    },
    keys={"tag": Sql("SELECT 1 FROM penstock_experiment_tags k WHERE k.experiment = e.id")},
)


def find_experiments(c: Connection, query: ExperimentQuery) -> Page[Experiment]:
    """Raises SearchInvalid, and TrackingInvalid for a limit that is out of bounds."""
    columns = "e.id, e.name, e.artifact_location, e.deleted, e.created_at, e.updated_at"
    found = find_rows(
        *(c, EXPERIMENTS, _TABLE, columns, "penstock_experiments e"),
        query=query,
        order=parse_order_by(EXPERIMENTS, query.order_by),
        mark=[query.view],
        conditions=of_view("e.deleted", query.view),
    )
    return Page(tuple(with_tags(c, found.items)), found.next_token)
