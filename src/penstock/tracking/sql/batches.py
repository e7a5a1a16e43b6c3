"""Batches of params, metrics and tags: those of many callers in one go.

A batch is refused or written as a whole. What is refused is found out before anything of it is written, so a group of
batches needs no savepoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from penstock.errors import ParamChanged, PenstockError, RunNotActive, RunNotFound
from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, pairs, run, run_each
from penstock.tracking.metrics import Metric
from penstock.tracking.runs import RUN_NAME_TAG
from penstock.tracking.sql.keys import Keys
from penstock.tracking.sql.model_metrics import log_model_metrics
from penstock.tracking.sql.points.series import log_points
from penstock.tracking.writes import LogBatch


@dataclass(slots=True)
class _Accepted:
    """What is to be written of all accepted batches. `names` are of runs whose name a tag sets."""

    params: list[tuple[int, str, str]] = field(default_factory=list)
    tags: dict[tuple[int, str], str] = field(default_factory=dict)
    points: list[tuple[int, Sequence[Metric]]] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    runs: set[int] = field(default_factory=set)


def log_batches(c: Connection, keys: Keys, batches: Sequence[LogBatch]) -> list[PenstockError | None]:
    """Writes the batches, in order; says which were refused, and why."""
    known = run_keys(c, {batch.run_id for batch in batches})
    params = _params(c, known, batches)
    accepted = _Accepted()
    outcomes = [_accept(batch, known, params, accepted) for batch in batches]
    insert_rows(c, tables.params, accepted.params)
    insert_rows(c, tables.tags, [(*at, value) for at, value in accepted.tags.items()], "replace")
    log_points(c, keys, accepted.points)
    log_model_metrics(c, accepted.points)
    run_each(c, "UPDATE penstock_runs SET name = ? WHERE id = ?", [(n, at) for at, n in accepted.names.items()])
    mark_changed(c, keys, accepted.runs)
    return outcomes


def run_keys(c: Connection, run_ids: Iterable[str]) -> dict[str, tuple[int, bool]]:
    """The key of each run that there is, and whether it is deleted. PostgreSQL's rows are locked until the commit."""
    condition, parameter = any_of(c, "run_id", sorted(run_ids))
    lock = "" if c.dialect.name == "sqlite" else " ORDER BY id FOR UPDATE"
    found = run(c, f"SELECT run_id, id, deleted FROM penstock_runs WHERE {condition}{lock}", parameter)
    return {row[0]: (row[1], bool(row[2])) for row in found}


def require_active(run_id: str, known: dict[str, tuple[int, bool]]) -> int:
    """The key of a run that may be written to. Raises RunNotFound, RunNotActive."""
    if run_id not in known:
        raise no_run(run_id)
    key, deleted = known[run_id]
    if deleted:
        raise RunNotActive(
            f"The run {run_id} must be in the 'active' state, but it is deleted.", hint="Restore the run first."
        )
    return key


def no_run(run_id: str) -> RunNotFound:
    return RunNotFound(f"Run with id={run_id[:300]} not found.")


def mark_changed(c: Connection, keys: Keys, runs: Iterable[int]) -> None:
    """Gives the runs the number of this commit."""
    chosen = sorted(runs)
    if chosen:
        condition, parameter = any_of(c, "id", chosen)
        run(c, f"UPDATE penstock_runs SET changed = ? WHERE {condition}", keys.number, parameter)


def _params(
    c: Connection, known: dict[str, tuple[int, bool]], batches: Sequence[LogBatch]
) -> dict[tuple[int, str], str]:
    """The params that the runs have already, of those that are to be logged."""
    wanted = [(known[b.run_id][0], key) for b in batches if b.run_id in known for key, _ in b.params]
    if not wanted:
        return {}
    source, parameters = pairs(c, wanted)
    statement = (
        f"SELECT p.run, p.key, p.value FROM {source} penstock_params p ON p.run = wanted.run AND p.key = wanted.key"
    )
    return {(row[0], row[1]): row[2] for row in run(c, statement, *parameters)}


def _accept(
    batch: LogBatch, known: dict[str, tuple[int, bool]], params: dict[tuple[int, str], str], accepted: _Accepted
) -> PenstockError | None:
    try:
        key = require_active(batch.run_id, known)
        new = _new_params(batch, key, params)
    except PenstockError as error:
        return error
    params.update({(key, name): value for _, name, value in new})
    accepted.params += new
    for name, value in batch.tags:
        accepted.tags[key, name] = value
        if name == RUN_NAME_TAG:
            accepted.names[key] = value
    if batch.metrics:
        accepted.points.append((key, batch.metrics))
    accepted.runs.add(key)
    return None


def _new_params(batch: LogBatch, run_key: int, params: dict[tuple[int, str], str]) -> list[tuple[int, str, str]]:
    """Those that are not there yet. Raises ParamChanged."""
    new = []
    for name, value in batch.params:
        before = params.get((run_key, name))
        if before is None:
            new.append((run_key, name, value))
        elif before != value:
            raise ParamChanged(
                f"Changing param values is not allowed. Param with key={name!r} was already logged with "
                f"value={_shown(before)!r} for run ID={batch.run_id!r}. Attempted logging new value {_shown(value)!r}."
            )
    return new


def _shown(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
