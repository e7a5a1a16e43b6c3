"""Experiments: made, renamed, deleted and restored with their runs, tagged; and read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from penstock.errors import ExperimentExists, ExperimentNotFound, TagNotFound, TrackingStateInvalid
from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, next_key, run
from penstock.tracking.experiments import DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME, Experiment
from penstock.tracking.sql.keys import Keys
from penstock.tracking.writes import (
    CreateExperiment,
    DeleteExperiment,
    DeleteExperimentTag,
    RenameExperiment,
    RestoreExperiment,
    SetExperimentTag,
)

_COLUMNS = "id, name, artifact_location, deleted, created_at, updated_at"


def create_default(c: Connection, artifact_root: str) -> None:
    """The experiment that runs go to where nobody names one, unless there is something of its number."""
    number = int(DEFAULT_EXPERIMENT_ID)
    if run(c, "SELECT id FROM penstock_experiments WHERE id = ?", number).first() is None:
        now = milliseconds()
        row = (number, DEFAULT_EXPERIMENT_NAME, _location(artifact_root, number), False, now, now)
        insert_rows(c, tables.experiments, [row], "keep")


def create_experiment(c: Connection, artifact_root: str, change: CreateExperiment) -> str:
    """Answers with the new id. Raises ExperimentExists."""
    _require_free(c, change.name)
    least = run(c, "SELECT next_experiment FROM penstock_changes WHERE id = 1").scalar()
    number = max(least, next_key(c, tables.experiments))
    now = milliseconds()
    location = change.artifact_location or _location(artifact_root, number)
    insert_rows(c, tables.experiments, [(number, change.name, location, False, now, now)])
    insert_rows(c, tables.experiment_tags, [(number, key, value) for key, value in change.tags.items()])
    return str(number)


def rename_experiment(c: Connection, change: RenameExperiment) -> None:
    """Raises ExperimentNotFound, ExperimentExists, TrackingStateInvalid."""
    found = read_experiment(c, change.experiment_id)
    if found.lifecycle == "deleted":
        raise TrackingStateInvalid(f"Cannot rename the deleted experiment {change.experiment_id}.")
    if found.name != change.name:
        _require_free(c, change.name)
    _touch(c, change.experiment_id)
    run(c, "UPDATE penstock_experiments SET name = ? WHERE id = ?", change.name, int(change.experiment_id))


def set_experiment_deleted(c: Connection, keys: Keys, change: DeleteExperiment | RestoreExperiment) -> None:
    """With all its runs. Raises ExperimentNotFound where it is so already, as MLflow does."""
    deleted = isinstance(change, DeleteExperiment)
    found = read_experiment(c, change.experiment_id)
    if (found.lifecycle == "deleted") is deleted:
        raise no_experiment(change.experiment_id)
    number = int(change.experiment_id)
    _touch(c, change.experiment_id)
    run(c, "UPDATE penstock_experiments SET deleted = ? WHERE id = ?", deleted, number)
    at = milliseconds() if deleted else None
    statement = "UPDATE penstock_runs SET deleted = ?, deleted_at = ?, changed = ? WHERE experiment = ?"
    run(c, statement, deleted, at, keys.number, number)


def set_experiment_tag(c: Connection, change: SetExperimentTag) -> None:
    """Raises ExperimentNotFound, TrackingStateInvalid for a deleted one."""
    found = read_experiment(c, change.experiment_id)
    if found.lifecycle == "deleted":
        raise TrackingStateInvalid(
            f"The experiment {change.experiment_id} must be in the 'active' state, but it is deleted.",
            hint="Restore the experiment first.",
        )
    _touch(c, change.experiment_id)
    insert_rows(c, tables.experiment_tags, [(int(change.experiment_id), change.key, change.value)], "replace")


def delete_experiment_tag(c: Connection, change: DeleteExperimentTag) -> None:
    """Raises ExperimentNotFound, TagNotFound."""
    found = read_experiment(c, change.experiment_id)
    if change.key not in found.tags:
        raise TagNotFound(f"Experiment {change.experiment_id} has no tag {change.key!r}.")
    _touch(c, change.experiment_id)
    statement = "DELETE FROM penstock_experiment_tags WHERE experiment = ? AND key = ?"
    run(c, statement, int(change.experiment_id), change.key)


def read_experiment(c: Connection, experiment_id: str) -> Experiment:
    """Raises ExperimentNotFound."""
    number = number_of(experiment_id)
    row = (
        None if number is None else run(c, f"SELECT {_COLUMNS} FROM penstock_experiments WHERE id = ?", number).first()
    )
    if row is None:
        raise no_experiment(experiment_id)
    return with_tags(c, [row])[0]


def read_experiment_by_name(c: Connection, name: str) -> Experiment:
    """Raises ExperimentNotFound."""
    row = run(c, f"SELECT {_COLUMNS} FROM penstock_experiments WHERE name = ?", name).first()
    if row is None:
        raise ExperimentNotFound(f"Could not find experiment with name {name[:300]!r}.")
    return with_tags(c, [row])[0]


def with_tags(c: Connection, rows: Sequence[Any]) -> list[Experiment]:
    """Rows of id, name, location, deleted, and both times, in their order."""
    condition, parameter = any_of(c, "experiment", [row[0] for row in rows])
    found: dict[int, dict[str, str]] = {}
    statement = (
        f"SELECT experiment, key, value FROM penstock_experiment_tags WHERE {condition} ORDER BY experiment, key"
    )
    for number, key, value in run(c, statement, parameter):
        found.setdefault(number, {})[key] = value
    return [
        Experiment(
            experiment_id=str(row[0]),
            name=row[1],
            artifact_location=row[2],
            lifecycle="deleted" if row[3] else "active",
            creation_time=row[4],
            last_update_time=row[5],
            tags=found.get(row[0], {}),
        )
        for row in rows
    ]


def number_of(experiment_id: str) -> int | None:
    """The key of an experiment's id; None for a text that is none."""
    plain = experiment_id.isascii() and experiment_id.isdecimal() and len(experiment_id) < 19
    return int(experiment_id) if plain else None


def no_experiment(experiment_id: str) -> ExperimentNotFound:
    return ExperimentNotFound(f"No Experiment with id={experiment_id[:300]} exists.")


def milliseconds() -> int:
    """Now, since 1970."""
    return time.time_ns() // 1_000_000


def _location(artifact_root: str, number: int) -> str:
    return f"{artifact_root.rstrip('/')}/{number}"


def _require_free(c: Connection, name: str) -> None:
    row = run(c, "SELECT deleted FROM penstock_experiments WHERE name = ?", name).first()
    if row is not None:
        deleted = " It is deleted: restore it, or take another name." if row[0] else ""
        raise ExperimentExists(f"Experiment(name={name}) already exists.{deleted}")


def _touch(c: Connection, experiment_id: str) -> None:
    run(c, "UPDATE penstock_experiments SET updated_at = ? WHERE id = ?", milliseconds(), int(experiment_id))
