"""Logged models as they were elsewhere, with every point about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, next_key, run
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric
from penstock.tracking.metrics import Metric
from penstock.tracking.sql.batches import run_keys
from penstock.tracking.sql.logged_models import LOGGED_MODEL_COLUMNS, with_logged

_HELD = ("penstock_logged_model_params", "penstock_logged_model_tags", "penstock_logged_model_metrics")


def read_known_models(c: Connection, model_ids: Sequence[str]) -> dict[str, tuple[LoggedModel, bool]]:
    """Those of these that there are, with all points about them, and whether they are deleted."""
    condition, parameter = any_of(c, "model_id", list(model_ids))
    statement = f"SELECT {LOGGED_MODEL_COLUMNS}, deleted FROM penstock_logged_models WHERE {condition}"
    rows = run(c, statement, parameter)
    points = _points(c, [row[0] for row in rows])
    models = with_logged(c, [row[:-1] for row in rows])
    return {
        model.model_id: (replace(model, metrics=tuple(points.get(row[0], ()))), bool(row[-1]))
        for row, model in zip(rows, models, strict=True)
    }


def import_logged_models(c: Connection, models: Sequence[tuple[LoggedModel, bool]]) -> None:
    """Each with whether it is deleted. Those that are there become what they are given as. Points of runs that are not
    there are left out."""
    known = _keys(c, [model.model_id for model, _ in models])
    for table in _HELD if known else ():
        condition, parameter = any_of(c, "model", sorted(known.values()))
        run(c, f"DELETE FROM {table} WHERE {condition}", parameter)
    at = dict(known)
    free = next_key(c, tables.logged_models)
    for model, _ in models:
        if model.model_id not in at:
            at[model.model_id], free = free, free + 1
    rows = [
        (
            *(at[each.model_id], each.model_id, int(each.experiment_id), each.name, each.artifact_uri),
            *(each.creation_time, each.last_update_time, each.status, each.status_message, each.model_type),
            *(each.source_run_id, deleted),
        )
        for each, deleted in models
    ]
    insert_rows(c, tables.logged_models, rows, "replace")
    params = [(at[each.model_id], *param) for each, _ in models for param in each.params.items()]
    insert_rows(c, tables.logged_model_params, params)
    insert_rows(c, tables.logged_model_tags, [(at[e.model_id], *tag) for e, _ in models for tag in e.tags.items()])
    runs = run_keys(c, {point.run_id for each, _ in models for point in each.metrics})
    points = [
        (
            *(at[each.model_id], point.metric.key, point.metric.timestamp, point.metric.step, runs[point.run_id][0]),
            *(_number(point.metric.value), point.metric.dataset_name, point.metric.dataset_digest),
        )
        for each, _ in models
        for point in each.metrics
        if point.run_id in runs
    ]
    insert_rows(c, tables.logged_model_metrics, points, "keep")


def _keys(c: Connection, model_ids: Sequence[str]) -> dict[str, int]:
    condition, parameter = any_of(c, "model_id", list(model_ids))
    return dict(run(c, f"SELECT model_id, id FROM penstock_logged_models WHERE {condition}", parameter))


def _points(c: Connection, keys: Sequence[int]) -> dict[int, list[LoggedModelMetric]]:
    condition, parameter = any_of(c, "m.model", list(keys))
    statement = (
        "SELECT m.model, m.key, m.value, m.timestamp, m.step, l.model_id, m.dataset_name, m.dataset_digest, r.run_id "
        "FROM penstock_logged_model_metrics m JOIN penstock_logged_models l ON l.id = m.model "
        f"JOIN penstock_runs r ON r.id = m.run WHERE {condition} ORDER BY m.model, m.key, m.timestamp, m.step, r.run_id"
    )
    found: dict[int, list[LoggedModelMetric]] = {}
    for row in run(c, statement, parameter):
        found.setdefault(row[0], []).append(LoggedModelMetric(Metric(*row[1:8]), row[8]))
    return found


def _number(value: float) -> float:
    """NaN counts as 0 here, as in MLflow."""
    return 0.0 if math.isnan(value) else value
