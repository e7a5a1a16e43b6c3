"""Logged models: made, finished, tagged, deleted; read with what was logged about them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from penstock.errors import LoggedModelNotFound, TagNotFound, TrackingInvalid
from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, next_key, run
from penstock.tracking.limits import MAX_PARAM_VALUE
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric
from penstock.tracking.metrics import Metric
from penstock.tracking.names import random_name
from penstock.tracking.sql.experiments import milliseconds, read_experiment
from penstock.tracking.writes import (
    CreateLoggedModel,
    DeleteLoggedModel,
    DeleteLoggedModelTag,
    FinalizeLoggedModel,
    LogLoggedModelParams,
    SetLoggedModelTags,
)

LOGGED_MODEL_COLUMNS = (
    "id, model_id, experiment, name, artifact_uri, created_at, updated_at, status, status_message, model_type, "
    "source_run_id"
)


def create_logged_model(c: Connection, change: CreateLoggedModel) -> LoggedModel:
    """Raises ExperimentNotFound, and TrackingInvalid for a deleted experiment."""
    experiment = read_experiment(c, change.experiment_id)
    if experiment.lifecycle == "deleted":
        raise TrackingInvalid(
            f"The experiment {change.experiment_id} must be in the 'active' state, but it is deleted.",
            hint="Restore the experiment first.",
            field="experiment_id",
        )
    key, model_id, now = next_key(c, tables.logged_models), f"m-{uuid.uuid4().hex}", milliseconds()
    place = f"{experiment.artifact_location.rstrip('/')}/models/{model_id}/artifacts"
    what = (change.name or random_name(), place, now, now, "LOGGED_MODEL_PENDING", "", change.model_type)
    row = (key, model_id, int(change.experiment_id), *what, change.source_run_id, False)
    insert_rows(c, tables.logged_models, [row])
    _insert_params(c, key, change.params)
    insert_rows(c, tables.logged_model_tags, [(key, name, value) for name, value in change.tags.items()])
    return read_logged_model(c, model_id)


def finalize_logged_model(c: Connection, change: FinalizeLoggedModel) -> LoggedModel:
    """Raises LoggedModelNotFound."""
    key = _touched(c, change.model_id)
    run(c, "UPDATE penstock_logged_models SET status = ? WHERE id = ?", change.status, key)
    return read_logged_model(c, change.model_id)


def set_logged_model_tags(c: Connection, change: SetLoggedModelTags) -> LoggedModel:
    """Raises LoggedModelNotFound."""
    key = _touched(c, change.model_id)
    rows = [(key, name, value) for name, value in change.tags.items()]
    insert_rows(c, tables.logged_model_tags, rows, "replace")
    return read_logged_model(c, change.model_id)


def delete_logged_model_tag(c: Connection, change: DeleteLoggedModelTag) -> None:
    """Raises LoggedModelNotFound, TagNotFound."""
    key = _touched(c, change.model_id)
    statement = "DELETE FROM penstock_logged_model_tags WHERE model = ? AND key = ?"
    if not run(c, statement, key, change.key).rowcount:
        raise TagNotFound(f"No tag with key {change.key[:300]!r} found for model with ID {change.model_id!r}.")


def log_logged_model_params(c: Connection, change: LogLoggedModelParams) -> LoggedModel:
    """Raises LoggedModelNotFound."""
    _insert_params(c, _touched(c, change.model_id), change.params)
    return read_logged_model(c, change.model_id)


def delete_logged_model(c: Connection, change: DeleteLoggedModel) -> None:
    """Raises LoggedModelNotFound."""
    run(c, "UPDATE penstock_logged_models SET deleted = ? WHERE id = ?", True, _touched(c, change.model_id))


def read_logged_model(c: Connection, model_id: str) -> LoggedModel:
    """Raises LoggedModelNotFound, also for one that is deleted."""
    statement = f"SELECT {LOGGED_MODEL_COLUMNS} FROM penstock_logged_models WHERE model_id = ? AND deleted = ?"
    row = run(c, statement, model_id, False).first()
    if row is None:
        raise no_logged_model(model_id)
    return with_logged(c, [row])[0]


def with_logged(c: Connection, rows: Sequence[Any]) -> list[LoggedModel]:
    """Rows of LOGGED_MODEL_COLUMNS as models, in their order, with params, tags and metrics."""
    keys = [row[0] for row in rows]
    params = _texts(c, "penstock_logged_model_params", keys)
    tags = _texts(c, "penstock_logged_model_tags", keys)
    metrics = _metrics(c, keys)
    return [
        LoggedModel(
            model_id=row[1],
            experiment_id=str(row[2]),
            name=row[3],
            artifact_uri=row[4],
            creation_time=row[5],
            last_update_time=row[6],
            status=row[7],
            status_message=row[8],
            model_type=row[9],
            source_run_id=row[10],
            params=params.get(row[0], {}),
            tags=tags.get(row[0], {}),
            metrics=tuple(metrics.get(row[0], ())),
        )
        for row in rows
    ]


def no_logged_model(model_id: str) -> LoggedModelNotFound:
    return LoggedModelNotFound(f"Logged model with ID {model_id[:300]!r} not found.")


def _touched(c: Connection, model_id: str) -> int:
    """The key of a model that changes now. Raises LoggedModelNotFound."""
    statement = "SELECT id FROM penstock_logged_models WHERE model_id = ? AND deleted = ?"
    key: int | None = run(c, statement, model_id, False).scalar()
    if key is None:
        raise no_logged_model(model_id)
    run(c, "UPDATE penstock_logged_models SET updated_at = ? WHERE id = ?", milliseconds(), key)
    return key


def _insert_params(c: Connection, key: int, params: Sequence[tuple[str, str]]) -> None:
    rows = {name: (key, name, value[:MAX_PARAM_VALUE]) for name, value in params}
    insert_rows(c, tables.logged_model_params, list(rows.values()), "replace")


def _texts(c: Connection, table: str, keys: Sequence[int]) -> dict[int, Mapping[str, str]]:
    condition, parameter = any_of(c, "model", list(keys))
    statement = f"SELECT model, key, value FROM {table} WHERE {condition} ORDER BY model, key"
    found: dict[int, dict[str, str]] = {}
    for key, name, value in run(c, statement, parameter):
        found.setdefault(key, {})[name] = value
    return dict(found)


def _metrics(c: Connection, keys: Sequence[int]) -> dict[int, list[LoggedModelMetric]]:
    """All points about the models, which MLflow shows so."""
    condition, parameter = any_of(c, "m.model", list(keys))
    statement = (
        "SELECT m.model, m.key, m.value, m.timestamp, m.step, m.dataset_name, m.dataset_digest, r.run_id, l.model_id "
        "FROM penstock_logged_model_metrics m JOIN penstock_runs r ON r.id = m.run "
        f"JOIN penstock_logged_models l ON l.id = m.model WHERE {condition} "
        "ORDER BY m.model, m.key, m.step, m.timestamp, m.value"
    )
    found: dict[int, list[LoggedModelMetric]] = {}
    for model, key, value, timestamp, step, name, digest, run_id, model_id in run(c, statement, parameter):
        metric = Metric(key, value, timestamp, step, model_id, name, digest)
        found.setdefault(model, []).append(LoggedModelMetric(metric, run_id))
    return found
