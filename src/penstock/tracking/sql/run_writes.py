"""Runs made, changed, deleted and restored, many in one go where they come so."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from penstock.errors import ExperimentNotFound, PenstockError, RunExists, TagNotFound, TrackingInvalid
from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, run, run_each
from penstock.tracking.names import random_name
from penstock.tracking.runs import RUN_NAME_TAG, USER_TAG, Run
from penstock.tracking.sql.batches import mark_changed, no_run, require_active, run_keys
from penstock.tracking.sql.keys import Keys
from penstock.tracking.writes import CreateRun, DeleteRun, DeleteTag, RestoreRun, UpdateRun

RUN_COLUMNS = "id, run_id, experiment, name, user_id, status, start_time, end_time, artifact_uri, deleted, changed"


def create_runs(c: Connection, keys: Keys, creations: Sequence[CreateRun]) -> list[Run | PenstockError]:
    """Inserts runs with their tags."""
    locations = _locations(c, {creation.experiment_id for creation in creations})
    taken = run_keys(c, {creation.run_id for creation in creations if creation.run_id})
    outcomes: list[Run | PenstockError] = []
    rows, tags = [], []
    for creation in creations:
        try:
            made = _new_run(creation, locations, taken, keys.number)
        except PenstockError as error:
            outcomes.append(error)
            continue
        key = keys.run()
        taken[made.run_id] = (key, False)
        rows.append((key, *_cells(made)))
        tags += [(key, name, value) for name, value in made.tags.items()]
        outcomes.append(made)
    insert_rows(c, tables.runs, rows)
    insert_rows(c, tables.tags, tags)
    return outcomes


def update_runs(c: Connection, keys: Keys, updates: Sequence[UpdateRun]) -> list[Run | PenstockError]:
    """Changes status, end and name of runs; answers with what they are then, without what was logged to them."""
    known = run_keys(c, {update.run_id for update in updates})
    found = {each.run_id: each for each in read_rows(c, "run_id", list(known))}
    outcomes: list[Run | PenstockError] = []
    changed: dict[int, Run] = {}
    names = []
    for update in updates:
        try:
            key = require_active(update.run_id, known)
        except PenstockError as error:
            outcomes.append(error)
            continue
        changed[key] = found[update.run_id] = _updated(found[update.run_id], update, keys.number)
        if update.name:
            names.append((key, RUN_NAME_TAG, update.name))
        outcomes.append(changed[key])
    run_each(
        c,
        "UPDATE penstock_runs SET name = ?, status = ?, end_time = ?, changed = ? WHERE id = ?",
        [(made.name, made.status, made.end_time, made.changed, key) for key, made in changed.items()],
    )
    insert_rows(c, tables.tags, list({row[:2]: row for row in names}.values()), "replace")
    return outcomes


def set_run_deleted(c: Connection, keys: Keys, change: DeleteRun | RestoreRun) -> None:
    """Marks a run as deleted, or as active again. Raises RunNotFound."""
    known = run_keys(c, [change.run_id])
    if change.run_id not in known:
        raise no_run(change.run_id)
    deleted = isinstance(change, DeleteRun)
    at = time.time_ns() // 1_000_000 if deleted else None
    key = known[change.run_id][0]
    run(c, "UPDATE penstock_runs SET deleted = ?, deleted_at = ? WHERE id = ?", deleted, at, key)
    mark_changed(c, keys, [key])


def delete_tag(c: Connection, keys: Keys, change: DeleteTag) -> None:
    """Raises RunNotFound, RunNotActive, TagNotFound."""
    key = require_active(change.run_id, run_keys(c, [change.run_id]))
    gone = run(c, "DELETE FROM penstock_tags WHERE run = ? AND key = ?", key, change.key).rowcount
    if not gone:
        raise TagNotFound(f"No tag with name: {change.key[:300]} in run with id {change.run_id}")
    mark_changed(c, keys, [key])


def read_rows(c: Connection, column: str, values: Sequence[Any]) -> list[Run]:
    """The runs whose column is one of the values, without what was logged to them, in no order."""
    condition, parameter = any_of(c, column, values)
    return [run_of(row) for row in run(c, f"SELECT {RUN_COLUMNS} FROM penstock_runs WHERE {condition}", parameter)]


def run_of(row: Any) -> Run:
    """A row of `RUN_COLUMNS`."""
    return Run(
        run_id=row[1],
        experiment_id=str(row[2]),
        name=row[3],
        user_id=row[4],
        status=row[5],
        start_time=row[6],
        end_time=row[7],
        artifact_uri=row[8],
        lifecycle="deleted" if row[9] else "active",
        changed=row[10],
    )


def _locations(c: Connection, experiment_ids: set[str]) -> dict[str, tuple[str, bool]]:
    """Where the experiments keep files, and whether they are deleted."""
    ids = [int(each) for each in experiment_ids if each.isascii() and each.isdecimal() and len(each) < 19]
    condition, parameter = any_of(c, "id", ids)
    found = run(c, f"SELECT id, artifact_location, deleted FROM penstock_experiments WHERE {condition}", parameter)
    return {str(row[0]): (row[1], bool(row[2])) for row in found}


def _new_run(creation: CreateRun, locations: dict[str, tuple[str, bool]], taken: dict[str, Any], number: int) -> Run:
    location, deleted = locations.get(creation.experiment_id, ("", False))
    if not location:
        raise ExperimentNotFound(f"No Experiment with id={creation.experiment_id[:300]} exists.")
    if deleted:
        raise TrackingInvalid(
            f"The experiment {creation.experiment_id} must be in the 'active' state, but it is deleted.",
            hint="Restore the experiment first.",
            field="experiment_id",
        )
    if creation.run_id in taken:
        raise RunExists(f"A run with the id {creation.run_id!r} exists already.")
    named = creation.tags.get(RUN_NAME_TAG, "")
    if creation.name and named and creation.name != named:
        raise TrackingInvalid(
            f"Both 'run_name' argument and '{RUN_NAME_TAG}' tag are specified, but with different values "
            f"(run_name={creation.name!r}, {RUN_NAME_TAG}={named!r}).",
            field="run_name",
        )
    run_id = creation.run_id or uuid.uuid4().hex
    name = creation.name or named or random_name()
    return Run(
        run_id=run_id,
        experiment_id=creation.experiment_id,
        name=name,
        user_id=creation.user_id or creation.tags.get(USER_TAG, ""),
        status="RUNNING",
        start_time=creation.start_time,
        end_time=None,
        artifact_uri=f"{location.rstrip('/')}/{run_id}/artifacts",
        lifecycle="active",
        changed=number,
        tags=dict(sorted({**creation.tags, RUN_NAME_TAG: name}.items())),
    )


def _updated(before: Run, update: UpdateRun, number: int) -> Run:
    return replace(
        before,
        status=update.status or before.status,
        end_time=before.end_time if update.end_time is None else update.end_time,
        name=update.name or before.name,
        changed=number,
    )


def _cells(made: Run) -> tuple[Any, ...]:
    """As the table has them, but for the key."""
    return (
        *(made.run_id, int(made.experiment_id), made.name, made.user_id, made.status, made.start_time),
        *(made.end_time, made.artifact_uri, False, None, made.changed),
    )
