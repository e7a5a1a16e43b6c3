"""Datasets and logged models that runs took, and models that they made."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, next_key, run
from penstock.tracking.datasets import CONTEXT_TAG, Dataset, DatasetInput, DatasetSummary
from penstock.tracking.runs import ModelOutput
from penstock.tracking.sql.batches import mark_changed, require_active, run_keys
from penstock.tracking.sql.keys import Keys
from penstock.tracking.writes import LogInputs, LogOutputs


def log_inputs(c: Connection, keys: Keys, change: LogInputs) -> None:
    """Raises RunNotFound, RunNotActive."""
    key = require_active(change.run_id, run_keys(c, [change.run_id]))
    experiment = run(c, "SELECT experiment FROM penstock_runs WHERE id = ?", key).scalar()
    place = run(c, "SELECT coalesce(max(place), 0) FROM penstock_inputs WHERE run = ?", key).scalar()
    rows = []
    for number, given in enumerate(change.datasets, start=place + 1):
        dataset = _dataset_key(c, experiment, given.dataset)
        context = given.tags.get(CONTEXT_TAG, "")
        rows.append((key, dataset, number, context, orjson.dumps(dict(given.tags)).decode()))
    insert_rows(c, tables.inputs, rows, "keep")
    _log_models(c, key, "input", change.models)
    mark_changed(c, keys, [key])


def log_outputs(c: Connection, keys: Keys, change: LogOutputs) -> None:
    """Raises RunNotFound, RunNotActive."""
    key = require_active(change.run_id, run_keys(c, [change.run_id]))
    _log_models(c, key, "output", change.models)
    mark_changed(c, keys, [key])


def read_inputs(c: Connection, runs: Sequence[int]) -> dict[int, list[DatasetInput]]:
    """What each run took, in the order in which it was logged."""
    condition, parameter = any_of(c, "i.run", list(runs))
    statement = (
        "SELECT i.run, i.tags, d.name, d.digest, d.source_type, d.source, d.schema, d.profile FROM penstock_inputs i "
        f"JOIN penstock_datasets d ON d.id = i.dataset WHERE {condition} ORDER BY i.run, i.place"
    )
    found: dict[int, list[DatasetInput]] = {}
    for row in run(c, statement, parameter):
        found.setdefault(row[0], []).append(DatasetInput(Dataset(*row[2:]), orjson.loads(row[1])))
    return found


def read_models(c: Connection, runs: Sequence[int]) -> dict[tuple[int, str], list[ModelOutput]]:
    """The models that each run took or made, by the direction."""
    condition, parameter = any_of(c, "run", list(runs))
    statement = (
        f"SELECT run, direction, model_id, step FROM penstock_run_models WHERE {condition} "
        "ORDER BY run, direction, step, model_id"
    )
    found: dict[tuple[int, str], list[ModelOutput]] = {}
    for row in run(c, statement, parameter):
        found.setdefault((row[0], row[1]), []).append(ModelOutput(row[2], row[3]))
    return found


def read_datasets(c: Connection, experiments: Sequence[int], limit: int) -> list[DatasetSummary]:
    """Those of active runs, each context once."""
    condition, parameter = any_of(c, "r.experiment", list(experiments))
    statement = (
        "SELECT DISTINCT d.experiment, d.name, d.digest, i.context FROM penstock_runs r "
        "JOIN penstock_inputs i ON i.run = r.id JOIN penstock_datasets d ON d.id = i.dataset "
        f"WHERE {condition} AND NOT r.deleted ORDER BY d.name, d.digest, i.context LIMIT {int(limit)}"
    )
    rows = run(c, statement, parameter)
    return [DatasetSummary(str(experiment), name, digest, context) for experiment, name, digest, context in rows]


def _dataset_key(c: Connection, experiment: int, dataset: Dataset) -> int:
    this = "experiment = ? AND name = ? AND digest = ?"
    found: int | None = run(
        c, f"SELECT id FROM penstock_datasets WHERE {this}", experiment, dataset.name, dataset.digest
    ).scalar()
    if found is not None:
        return found
    key = next_key(c, tables.datasets)
    cells = (dataset.source_type, dataset.source, dataset.schema, dataset.profile)
    insert_rows(c, tables.datasets, [(key, experiment, dataset.name, dataset.digest, *cells)])
    return key


def _log_models(c: Connection, run_key: int, direction: str, models: Sequence[ModelOutput]) -> None:
    rows = {each.model_id: (run_key, direction, each.model_id, each.step) for each in models}
    insert_rows(c, tables.run_models, list(rows.values()), "replace")
