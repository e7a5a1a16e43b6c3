"""Which runs a search finds: their ids and states, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.mlflow_api.search.entities import RUNS
from penstock.mlflow_api.search.parse import parse_order_by
from penstock.sql.dialect import any_of
from penstock.sql.search.compiling import SearchTable, Sql, find_rows
from penstock.tracking.queries import Page, RunQuery
from penstock.tracking.runs import RunRef
from penstock.tracking.sql.experiments import number_of
from penstock.tracking.sql.search.views import of_view

_SORTED = {"metric": "penstock_series", "param": "penstock_params", "tag": "penstock_tags"}

_TABLE = SearchTable(
    columns={
        "artifact_uri": "r.artifact_uri",
        "end_time": "r.end_time",
        "run_id": "r.run_id",
        "run_name": "r.name",
        "start_time": "r.start_time",
        "status": "r.status",
        "user_id": "r.user_id",
    },
    nullable=frozenset({"end_time"}),
    keys={
        "metric": Sql("SELECT 1 FROM penstock_series k WHERE k.run = r.id"),
        "param": Sql("SELECT 1 FROM penstock_params k WHERE k.run = r.id"),
        "tag": Sql("SELECT 1 FROM penstock_tags k WHERE k.run = r.id"),
        "dataset": Sql(
            "SELECT 1 FROM penstock_inputs i JOIN penstock_datasets d ON d.id = i.dataset WHERE i.run = r.id"
        ),
    },
    datasets={"name": "d.name", "digest": "d.digest", "context": "NULLIF(i.context, '')"},
    sorted_by=lambda name, by: (
        Sql(f"{_SORTED[by.kind]} {name}"),
        Sql(f"{name}.run = r.id AND {name}.key = ?", (by.key,)),
    ),
)


def find_runs(c: Connection, query: RunQuery) -> Page[RunRef]:
    """Raises SearchInvalid, and TrackingInvalid for a limit that is out of bounds."""
    numbers = [number for each in query.experiment_ids if (number := number_of(each)) is not None]
    found = find_rows(
        *(c, RUNS, _TABLE, "r.run_id, r.changed", "penstock_runs r"),
        query=query,
        order=parse_order_by(RUNS, query.order_by),
        mark=[query.view, sorted(numbers)],
        conditions=[_of_experiments(c, numbers), *of_view("r.deleted", query.view)],
    )
    return Page(tuple(RunRef(row[0], row[1]) for row in found.items), found.next_token)


def _of_experiments(c: Connection, numbers: Sequence[int]) -> Sql:
    if len(numbers) == 1:  # where an index has the order of the newest runs
        return Sql("r.experiment = ?", (numbers[0],))
    condition, parameter = any_of(c, "r.experiment", numbers)
    return Sql(condition, (parameter,))
