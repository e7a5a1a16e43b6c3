"""Experiments as they were elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, run, run_each
from penstock.tracking.experiments import Experiment
from penstock.tracking.sql.experiments import with_tags

_COLUMNS = "id, name, artifact_location, deleted, created_at, updated_at"


def read_experiments(c: Connection, ids: Sequence[str]) -> dict[str, Experiment]:
    """Those of these that there are."""
    condition, parameter = any_of(c, "id", [int(each) for each in ids])
    rows = run(c, f"SELECT {_COLUMNS} FROM penstock_experiments WHERE {condition}", parameter)
    return {each.experiment_id: each for each in with_tags(c, rows)}


def read_names(c: Connection, names: Sequence[str]) -> dict[str, str]:
    """Which of these names are taken, and by the experiment of which id."""
    condition, parameter = any_of(c, "name", list(names))
    return {
        row[1]: str(row[0]) for row in run(c, f"SELECT id, name FROM penstock_experiments WHERE {condition}", parameter)
    }


def has_runs(c: Connection, experiment_id: str) -> bool:
    """Whether anything is filed under an experiment."""
    statement = "SELECT 1 FROM penstock_runs WHERE experiment = ? LIMIT 1"
    return run(c, statement, int(experiment_id)).first() is not None


def import_experiments(c: Connection, experiments: Sequence[Experiment]) -> None:
    """With their tags; those that are there become what they are given as."""
    keys = [(int(each.experiment_id),) for each in experiments]
    run_each(c, "DELETE FROM penstock_experiment_tags WHERE experiment = ?", keys)
    # Two may have taken each other's name: none is taken by any of them meanwhile.
    run_each(c, "UPDATE penstock_experiments SET name = ? WHERE id = ?", [(f"\x1f{key[0]}", *key) for key in keys])
    rows = [
        (
            *(int(each.experiment_id), each.name, each.artifact_location, each.lifecycle == "deleted"),
            *(each.creation_time, each.last_update_time),
        )
        for each in experiments
    ]
    insert_rows(c, tables.experiments, rows, "replace")
    tags = [(int(each.experiment_id), *tag) for each in experiments for tag in each.tags.items()]
    insert_rows(c, tables.experiment_tags, tags)
