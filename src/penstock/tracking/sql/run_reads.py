"""Runs with all that they hold: a few statements for any number of runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from penstock.sql.dialect import any_of, run
from penstock.tracking.datasets import DatasetInput
from penstock.tracking.metrics import Metric, Point, SeriesSummary
from penstock.tracking.runs import ModelOutput, Run, RunRef
from penstock.tracking.sql.batches import no_run
from penstock.tracking.sql.inputs import read_inputs, read_models
from penstock.tracking.sql.run_writes import RUN_COLUMNS, run_of


def read_runs(c: Connection, run_ids: Sequence[str]) -> list[Run]:
    """In this order. Raises RunNotFound."""
    condition, parameter = any_of(c, "run_id", list(run_ids))
    rows = run(c, f"SELECT {RUN_COLUMNS} FROM penstock_runs WHERE {condition}", parameter)
    keys = [row[0] for row in rows]
    params, tags = (_texts(c, table, keys) for table in ("penstock_params", "penstock_tags"))
    metrics = _latest(c, keys)
    datasets: dict[int, list[DatasetInput]] = read_inputs(c, keys)
    models: dict[tuple[int, str], list[ModelOutput]] = read_models(c, keys)
    found = {
        row[1]: replace(
            run_of(row),
            metrics=tuple(metrics.get(row[0], ())),
            params=params.get(row[0], {}),
            tags=tags.get(row[0], {}),
            datasets=tuple(datasets.get(row[0], ())),
            model_inputs=tuple(models.get((row[0], "input"), ())),
            model_outputs=tuple(models.get((row[0], "output"), ())),
        )
        for row in rows
    }
    return [_required(found, run_id) for run_id in run_ids]


def read_refs(c: Connection, run_ids: Sequence[str]) -> list[RunRef]:
    """In this order. Raises RunNotFound."""
    condition, parameter = any_of(c, "run_id", list(run_ids))
    rows = run(c, f"SELECT run_id, changed FROM penstock_runs WHERE {condition}", parameter)
    found = {row[0]: RunRef(*row) for row in rows}
    return [_required(found, run_id) for run_id in run_ids]


def read_changed(c: Connection, experiments: Sequence[int], after: int, limit: int) -> list[RunRef]:
    """Runs of these experiments that changed after the counter was `after`, in the order of their changes."""
    condition, parameter = any_of(c, "experiment", list(experiments))
    statement = (
        f"SELECT run_id, changed FROM penstock_runs WHERE changed > ? AND {condition} ORDER BY changed, id LIMIT ?"
    )
    return [RunRef(*row) for row in run(c, statement, after, parameter, limit)]


def read_series(c: Connection, run_id: str) -> list[SeriesSummary]:
    """By key. Raises RunNotFound."""
    statement = (
        "SELECT key, points, first_step, last_step, step, timestamp, value, nan, minimum, maximum "
        "FROM penstock_series WHERE run = ? ORDER BY key"
    )
    rows = run(c, statement, run_key(c, run_id))
    return [
        SeriesSummary(
            key, points, first, last, Point(step, when, math.nan if nan else value), _bound(least), _bound(most)
        )
        for key, points, first, last, step, when, value, nan, least, most in rows
    ]


def run_key(c: Connection, run_id: str) -> int:
    """Raises RunNotFound."""
    key: int | None = run(c, "SELECT id FROM penstock_runs WHERE run_id = ?", run_id).scalar()
    if key is None:
        raise no_run(run_id)
    return key


def _bound(value: float | None) -> float:
    return math.nan if value is None else value


def _required(found: dict[str, Any], run_id: str) -> Any:
    if run_id not in found:
        raise no_run(run_id)
    return found[run_id]


def _texts(c: Connection, table: str, keys: Sequence[int]) -> dict[int, dict[str, str]]:
    """Params or tags of runs, by key."""
    condition, parameter = any_of(c, "run", list(keys))
    found: dict[int, dict[str, str]] = {}
    for key, name, value in run(
        c, f"SELECT run, key, value FROM {table} WHERE {condition} ORDER BY run, key", parameter
    ):
        found.setdefault(key, {})[name] = value
    return found


def _latest(c: Connection, keys: Sequence[int]) -> dict[int, list[Metric]]:
    """The latest point of each series of runs, by key."""
    condition, parameter = any_of(c, "run", list(keys))
    statement = f"SELECT run, key, value, timestamp, step, nan FROM penstock_series WHERE {condition} ORDER BY run, key"
    found: dict[int, list[Metric]] = {}
    for key, name, value, timestamp, step, nan in run(c, statement, parameter):
        found.setdefault(key, []).append(Metric(name, math.nan if nan else value, timestamp, step))
    return found
