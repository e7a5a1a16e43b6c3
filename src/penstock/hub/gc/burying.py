"""The transactions that take things out of the store: a run is there with all that belongs to it, or it is garbage.

Whatever has changed since somebody looked stays: each is looked at again where it is taken out. On PostgreSQL versions
cannot be registered meanwhile, so nobody who saw the files registers them without seeing that they go.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.hub.gc.plan import DELETED_AT, Doomed
from penstock.sql.dialect import any_of, insert_rows, next_key, run
from penstock.sql.garbage_table import garbage
from penstock.tracking.sql.keys import Keys

# Runs or logged models in one transaction: what others wait for.
BATCH = 200


def bury_runs(c: Connection, doomed: Sequence[Doomed], before: int) -> int:
    """Takes out those that are still deleted; says how many. What was logged to them is removed later."""
    _begin(c)
    condition, parameter = any_of(c, "id", [each.key for each in doomed])
    still = f"SELECT id FROM penstock_runs WHERE {condition} AND deleted = ? AND {DELETED_AT} <= ?"
    gone = {row[0] for row in run(c, still, parameter, True, before)}
    condition, parameter = any_of(c, "id", sorted(gone))
    run(c, f"DELETE FROM penstock_runs WHERE {condition}", parameter)
    _keep(c, "run", [each for each in doomed if each.key in gone])
    return len(gone)


def bury_models(c: Connection, doomed: Sequence[Doomed], before: int, experiments: Sequence[int]) -> int:
    """The same for logged models, with what is known of them; those of the experiments go in any case."""
    _begin(c)
    condition, parameter = any_of(c, "id", [each.key for each in doomed])
    inside, these = any_of(c, "experiment", list(experiments))
    still = (
        f"SELECT id FROM penstock_logged_models WHERE {condition} AND ((deleted = ? AND updated_at <= ?) OR {inside})"
    )
    gone = {row[0] for row in run(c, still, parameter, True, before, these)}
    condition, parameter = any_of(c, "model", sorted(gone))
    for table in ("params", "tags", "metrics"):
        run(c, f"DELETE FROM penstock_logged_model_{table} WHERE {condition}", parameter)
    condition, parameter = any_of(c, "id", sorted(gone))
    run(c, f"DELETE FROM penstock_logged_models WHERE {condition}", parameter)
    _keep(c, "model", [each for each in doomed if each.key in gone])
    return len(gone)


def bury_experiment(c: Connection, number: int, before: int) -> str | None:
    """Removes an experiment that is deleted and empty, and says where its files were; None for another one. Its id is
    given to no other."""
    _begin(c)
    statement = (
        "SELECT artifact_location FROM penstock_experiments WHERE id = ? AND deleted = ? AND updated_at <= ? "
        "AND NOT EXISTS (SELECT 1 FROM penstock_runs WHERE experiment = ?) "
        "AND NOT EXISTS (SELECT 1 FROM penstock_logged_models WHERE experiment = ?)"
    )
    location: str | None = run(c, statement, number, True, before, number, number).scalar()
    if location is None:
        return None
    run(c, "DELETE FROM penstock_experiment_tags WHERE experiment = ?", number)
    run(c, "DELETE FROM penstock_datasets WHERE experiment = ?", number)
    run(c, "DELETE FROM penstock_experiments WHERE id = ?", number)
    never = "UPDATE penstock_changes SET next_experiment = ? WHERE id = 1 AND next_experiment < ?"
    run(c, never, number + 1, number + 1)
    return location


def bury_package(c: Connection, place: str) -> bool:
    """Marks a package that no version has, so that none is registered with it any more; says whether it did."""
    _begin(c)
    start = f"{place}/"
    named = "SELECT 1 FROM penstock_versions WHERE source = ? OR substr(source, 1, ?) = ? LIMIT 1"
    if run(c, named, place, len(start), start).first() is not None:
        return False
    _keep(c, "package", [Doomed(0, "", place)])
    return True


def _begin(c: Connection) -> None:
    if c.dialect.name == "postgresql":
        run(c, "LOCK TABLE penstock_versions IN SHARE ROW EXCLUSIVE MODE")
    Keys(c)  # whoever writes to tracking waits for its row


def _keep(c: Connection, kind: str, doomed: Sequence[Doomed]) -> None:
    first, now = next_key(c, garbage), time.time_ns() // 1_000_000
    rows = [
        (first + at, kind, each.id, each.key if kind == "run" else None, each.place, now)
        for at, each in enumerate(doomed)
    ]
    insert_rows(c, garbage, rows)
