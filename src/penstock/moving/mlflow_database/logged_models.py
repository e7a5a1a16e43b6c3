"""Logged models out of MLflow's tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.moving.mlflow_database.cells import by_first, number, places, text
from penstock.moving.mlflow_database.connections import ReadOnlyConnection
from penstock.moving.mlflow_database.paging import PagedTable, read_pages
from penstock.moving.mlflow_database.schema import MlflowSchema
from penstock.moving.records import Broken, SourceLoggedModel
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric, LoggedModelStatus
from penstock.tracking.metrics import Metric

_MODEL = (
    *("model_id", "experiment_id", "name", "artifact_location", "creation_timestamp_ms", "last_updated_timestamp_ms"),
    *("status", "status_message", "model_type", "source_run_id", "lifecycle_stage"),
)
# MLflow's LoggedModelStatus, by the number of its enumeration.
_STATUSES: Mapping[int, LoggedModelStatus] = {
    0: "LOGGED_MODEL_PENDING",
    1: "LOGGED_MODEL_PENDING",
    2: "LOGGED_MODEL_READY",
    3: "LOGGED_MODEL_UPLOAD_FAILED",
}
_PAGE = 200


def read_logged_models(c: ReadOnlyConnection, schema: MlflowSchema) -> Iterator[list[SourceLoggedModel | Broken]]:
    if schema.has("logged_models"):
        paged = PagedTable("logged models", "logged_models", "model_id", _MODEL)
        for rows, broken in read_pages(c, schema, paged, _PAGE):
            yield [*(_with_held(c, schema, rows) if rows else ()), *broken]


def _with_held(
    c: ReadOnlyConnection, schema: MlflowSchema, rows: Sequence[Any]
) -> Iterator[SourceLoggedModel | Broken]:
    ids = [row[0] for row in rows]
    params, tags, metrics = (
        by_first(c.rows(f"SELECT model_id, {columns} FROM {table} WHERE model_id IN {places(ids)}", *ids))
        if schema.has(table)
        else {}
        for table, columns in (
            ("logged_model_params", "param_key, param_value"),
            ("logged_model_tags", "tag_key, tag_value"),
            (
                "logged_model_metrics",
                "metric_name, metric_value, metric_timestamp_ms, metric_step, dataset_name, dataset_digest, run_id",
            ),
        )
    )
    for model_id, experiment, name, uri, created, updated, status, message, kind, run_id, lifecycle in rows:
        at = text(model_id)
        known = _STATUSES.get(number(status, -1))
        if known is None:
            why = f"its status {text(status)[:40]!r} is unknown: it is pending here"
            yield Broken("logged models", at, why, kept=True)
        points = []
        for point in metrics.get(at, ()):
            if isinstance(point[1], str):
                yield Broken("logged model metrics", f"{at}/{text(point[0])[:80]}", "its value is no number")
            else:
                points.append(_point(at, point))
        model = LoggedModel(
            model_id=at,
            experiment_id=text(experiment),
            name=text(name),
            artifact_uri=text(uri),
            creation_time=number(created),
            last_update_time=number(updated),
            status=known or "LOGGED_MODEL_PENDING",
            status_message=text(message),
            model_type=text(kind),
            source_run_id=text(run_id),
            params={text(key): text(value) for key, value in sorted(params.get(at, ()), key=_key)},
            tags={text(key): text(value) for key, value in sorted(tags.get(at, ()), key=_key)},
            metrics=tuple(points),
        )
        yield SourceLoggedModel(model, deleted=lifecycle == "deleted")


def _point(model_id: str, row: Sequence[Any]) -> LoggedModelMetric:
    name, value, timestamp, step, dataset, digest, run_id = row
    measured = math.nan if value is None else float(value)
    metric = Metric(text(name), measured, number(timestamp), number(step), model_id, text(dataset), text(digest))
    return LoggedModelMetric(metric, text(run_id))


def _key(row: Sequence[Any]) -> str:
    return text(row[0])
