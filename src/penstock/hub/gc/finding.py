"""What was deleted and may go: read from the tables, in one look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from penstock.errors import (
    ExperimentNotFound,
    LoggedModelNotFound,
    RunNotFound,
    TrackingInvalid,
    TrackingStateInvalid,
    remedy,
)
from penstock.hub.files.places import own_path
from penstock.hub.gc.plan import DELETED_AT, Doomed, GcPlan, GcRequest, Kept, Leftover
from penstock.sql.dialect import any_of, run
from penstock.tracking.sql.experiments import number_of

_RUNS = f"SELECT id, run_id, artifact_uri, deleted, {DELETED_AT} FROM penstock_runs WHERE"
_MODELS = "SELECT id, model_id, artifact_uri, deleted, updated_at FROM penstock_logged_models WHERE"


def find_deleted(c: Connection, request: GcRequest, root: str) -> GcPlan:
    """`root` is where the hub's artifacts are. Raises RunNotFound, ExperimentNotFound, LoggedModelNotFound for ids that
    are not there, TrackingStateInvalid for what is not deleted, TrackingInvalid for what was deleted too late."""
    plan = GcPlan()
    plan.experiments = _experiments(c, request, plan)
    inside = _in(c, "experiment", plan.experiments)
    runs = {row[0]: row for row in run(c, f"{_RUNS} {inside[0]}", *inside[1])}
    models = {row[0]: row for row in run(c, f"{_MODELS} {inside[0]}", *inside[1])}
    if request.names_some:
        runs |= _named(c, _RUNS, "run_id", request.run_ids, request.before, _no_run)
        models |= _named(c, _MODELS, "model_id", request.model_ids, request.before, _no_model)
    else:
        old = f"{_RUNS} deleted = ? AND {DELETED_AT} <= ?"
        runs |= {row[0]: row for row in run(c, old, True, request.before)}
        old = f"{_MODELS} deleted = ? AND updated_at <= ?"
        models |= {row[0]: row for row in run(c, old, True, request.before)}
    plan.runs = [_doomed(row, "run", root, plan.kept) for row in runs.values()]
    plan.models = [_doomed(row, "logged model", root, plan.kept) for row in models.values()]
    plan.orphans = _orphans(c, plan)
    plan.leftovers = read_leftovers(c)
    return plan


def _orphans(c: Connection, plan: GcPlan) -> list[str]:
    condition, ids = any_of(c, "source_run_id", [each.id for each in plan.runs])
    made = run(c, f"SELECT model_id FROM penstock_logged_models WHERE {condition} ORDER BY id", ids)
    going = {each.id for each in plan.models}
    return [model_id for (model_id,) in made if model_id not in going]


def read_leftovers(c: Connection) -> list[Leftover]:
    """The table of garbage, the oldest first."""
    return [Leftover(*row) for row in run(c, "SELECT id, kind, owner, key, place FROM penstock_garbage ORDER BY id")]


def _experiments(c: Connection, request: GcRequest, plan: GcPlan) -> list[int]:
    """Those that go with all that is in them: one in which a run is active, or was deleted too late, stays."""
    statement = "SELECT id, name, deleted, updated_at FROM penstock_experiments WHERE"
    if request.names_some:
        rows = []
        for given in request.experiment_ids:
            number = number_of(given)
            row = None if number is None else run(c, f"{statement} id = ?", number).first()
            if row is None:
                raise ExperimentNotFound(f"No Experiment with id={given[:300]} exists.")
            _check(f"experiment {given}", bool(row[2]), row[3], request.before)
            rows.append(row)
    else:
        rows = list(run(c, f"{statement} deleted = ? AND updated_at <= ? ORDER BY id", True, request.before))
    found = []
    for number, name, _, _ in rows:
        younger = f"SELECT run_id FROM penstock_runs WHERE experiment = ? AND (deleted = ? OR {DELETED_AT} > ?)"
        living = run(c, f"{younger} LIMIT 1", number, False, request.before).scalar()
        if living is None:
            found.append(number)
        else:
            plan.kept.append(Kept(f"experiment {number} ({name})", f"its run {living} is active or was deleted later"))
    return found


def _named(
    c: Connection,
    statement: str,
    column: str,
    ids: Sequence[str],
    before: int,
    missing: Callable[[str], Exception],
) -> dict[int, Any]:
    found = {}
    for given in ids:
        row = run(c, f"{statement} {column} = ?", given).first()
        if row is None:
            raise missing(given)
        _check(f"{'run' if column == 'run_id' else 'logged model'} {given}", bool(row[3]), row[4], before)
        found[row[0]] = row
    return found


def _check(what: str, deleted: bool, at: int | None, before: int) -> None:
    if not deleted:
        raise TrackingStateInvalid(
            f"The {what} is not deleted: only what is deleted is removed for good.", hint="Delete it first."
        )
    if (at or 0) > before:
        raise TrackingInvalid(
            f"The {what} was deleted later than what is asked for.",
            hint="Ask for what was deleted lately, too.",
            remedy=remedy("any_age"),
        )


def _doomed(row: Any, what: str, root: str, kept: list[Kept]) -> Doomed:
    """Only a place as it is made for the id belongs to it alone: /ID/artifacts, or /models/ID/artifacts."""
    key, name, uri = row[:3]
    try:
        place = own_path(uri, root)
    except TrackingInvalid:
        place = None
    end = f"/models/{name}/artifacts" if what == "logged model" else f"/{name}/artifacts"
    if place is None:
        kept.append(Kept(f"files of {what} {name}", f"they are at {uri}, which is not the hub's"))
        place = ""
    elif "/" in name or not f"/{place}".endswith(end):
        kept.append(Kept(f"files of {what} {name}", f"they are at {uri}, which others may have, too"))
        place = ""
    return Doomed(key, name, place)


def _in(c: Connection, column: str, numbers: Sequence[int]) -> tuple[str, tuple[Any, ...]]:
    condition, parameter = any_of(c, column, numbers)
    return condition, (parameter,)


def _no_run(run_id: str) -> Exception:
    return RunNotFound(f"Run with id={run_id[:300]} not found.")


def _no_model(model_id: str) -> Exception:
    return LoggedModelNotFound(f"Logged model with ID {model_id[:300]!r} not found.")
