"""What belongs to garbage is removed: rows in short transactions, files where nobody else refers to them, and then the
mark. Each step may be repeated, so it does not matter where an earlier collection was cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import ArtifactNotFound
from penstock.hub.gc.plan import Leftover
from penstock.hub.gc.protected import ProtectedPlaces
from penstock.sql.database import Database
from penstock.sql.dialect import any_of, run, run_each

# Series in one transaction, and points in them that are rows: what whoever logs waits for.
_SERIES = 500
_ROWS = 20_000

_OF_RUNS = ("params", "tags", "inputs", "run_models")
_METRIC_KEY = ("model", "key", "timestamp", "step", "run")


def clear_rows(database: Database, some: Sequence[Leftover]) -> None:
    """What was logged to runs."""
    runs = [each.key for each in some if each.kind == "run" and each.key is not None]
    if not runs:
        return
    while database.write(lambda c: _clear_series(c, runs)):
        pass
    of_models = database.read(lambda c: _metrics_of_models(c, runs))

    def clear(c: Connection) -> None:
        condition, parameter = any_of(c, "run", runs)
        for table in _OF_RUNS:
            run(c, f"DELETE FROM penstock_{table} WHERE {condition}", parameter)
        key = " AND ".join(f"{name} = ?" for name in _METRIC_KEY)
        run_each(c, f"DELETE FROM penstock_logged_model_metrics WHERE {key}", of_models)

    database.write(clear)


def clear_files(tree: ArtifactTree, each: Leftover, protected: ProtectedPlaces) -> str:
    """Removes the files at a place, but for those that are protected; says which directory of those there is, if
    any."""
    if not each.place:
        return ""
    kept = protected.covers(each.place)
    if kept is None:
        kept = _remove(tree, each.place, protected)
    if not kept and each.kind != "package":
        tree.prune(each.place.rpartition("/")[0])  # which bears the id of the run or model, and nothing else is in it
    return kept


def unmark(c: Connection, some: Sequence[Leftover]) -> None:
    run_each(c, "DELETE FROM penstock_garbage WHERE id = ?", [(each.id,) for each in some])


def owners_again(c: Connection, some: Sequence[Leftover]) -> set[str]:
    """Ids of garbage that are in use again, since somebody has brought the run in anew: its files are in use, too."""
    found = set()
    for kind, table, column in (("run", "runs", "run_id"), ("model", "logged_models", "model_id")):
        condition, parameter = any_of(c, column, [each.owner for each in some if each.kind == kind])
        found |= {row[0] for row in run(c, f"SELECT {column} FROM penstock_{table} WHERE {condition}", parameter)}
    return found


def _clear_series(c: Connection, runs: Sequence[int]) -> bool:
    """Some series of these runs; says whether there may be more."""
    condition, parameter = any_of(c, "run", runs)
    found = run(c, f"SELECT run, key, id, hot FROM penstock_series WHERE {condition} LIMIT ?", parameter, _SERIES)
    some = list(_few(found))
    condition, parameter = any_of(c, "series", [row[2] for row in some])
    run(c, f"DELETE FROM penstock_points WHERE {condition}", parameter)
    run(c, f"DELETE FROM penstock_chunks WHERE {condition}", parameter)
    run_each(c, "DELETE FROM penstock_series WHERE run = ? AND key = ?", [(row[0], row[1]) for row in some])
    return bool(some)


def _few(found: Sequence[tuple[int, str, int, int]]) -> Iterator[tuple[int, str, int, int]]:
    """The first ones, and further ones while they do not have too many rows together."""
    rows = 0
    for row in found:
        if rows and rows + row[3] > _ROWS:
            return
        rows += row[3]
        yield row


def _metrics_of_models(c: Connection, runs: Sequence[int]) -> list[tuple[object, ...]]:
    """What these runs logged about models. Looked for in a read, since there is no index for it."""
    condition, parameter = any_of(c, "run", runs)
    columns = ", ".join(_METRIC_KEY)
    return list(run(c, f"SELECT {columns} FROM penstock_logged_model_metrics WHERE {condition}", parameter))


def _remove(tree: ArtifactTree, place: str, protected: ProtectedPlaces) -> str:
    kept = protected.inside(place)
    if kept is None:
        try:
            tree.remove(place)
        except ArtifactNotFound:  # it never had any, or they are gone already
            return ""
        return ""
    for entry in tree.entries(place):
        path = f"{place}/{entry.name}"
        if protected.covers(path) is None:
            _remove(tree, path, protected)
    return kept
