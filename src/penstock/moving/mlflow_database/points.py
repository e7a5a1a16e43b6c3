"""Points out of MLflow's table of metrics, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from penstock.moving.mlflow_database.cells import places, text
from penstock.moving.mlflow_database.connections import ReadOnlyConnection
from penstock.moving.records import Broken, PointBlock, SourceRun
from penstock.tracking.metrics import Points

# Points that are read at once, about.
BLOCK = 100_000
_MOST_RUNS = 200


def read_points(c: ReadOnlyConnection, runs: Sequence[SourceRun]) -> Iterator[PointBlock | Broken]:
    """Runs with few points together, each of the others a block at a time."""
    for some in _together(runs):
        if len(some) == 1 and (some[0].points or 0) > BLOCK:
            run_id = some[0].run.run_id
            for rows in c.points_of(run_id, BLOCK):
                yield from _blocks(run_id, rows)
            continue
        ids = [each.run.run_id for each in some]
        statement = (
            f'SELECT run_uuid, "key", step, timestamp, value, is_nan FROM metrics WHERE run_uuid IN {places(ids)}'
        )
        grouped: dict[str, list[Any]] = {run_id: [] for run_id in ids}
        for row in c.rows(statement, *ids):
            if row[0] in grouped:  # some databases take ids for equal that differ in case
                grouped[row[0]].append(row[1:])
        for run_id in ids:
            yield from _blocks(run_id, grouped.pop(run_id))


def _together(runs: Sequence[SourceRun]) -> Iterator[list[SourceRun]]:
    some: list[SourceRun] = []
    for each in runs:
        if some and (len(some) == _MOST_RUNS or sum(one.points or 0 for one in some) + (each.points or 0) > BLOCK):
            yield some
            some = []
        some.append(each)
    if some:
        yield some


def _blocks(run_id: str, rows: Sequence[Any]) -> Iterator[PointBlock | Broken]:
    """Rows of key, step, timestamp, value and whether it is NaN (and perhaps more) of one run."""
    grouped: dict[Any, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row)
    for key, some in grouped.items():
        try:
            points = _points(some)
        except (TypeError, ValueError, OverflowError):
            sound = [row for row in some if _is_sound(row)]
            why = "its step, timestamp or value is no number"
            yield Broken("metric points", f"{run_id}/{text(key)[:80]}", why, len(some) - len(sound))
            points = _points(sound)
        if len(points):
            yield PointBlock(run_id, text(key), points)


def _points(rows: Sequence[Any]) -> Points:
    """Raises TypeError, ValueError and OverflowError for a cell that is no number."""
    import numpy as np

    if not rows:
        return Points()
    _, steps, timestamps, values, nans, *_ = zip(*rows, strict=True)
    kept = np.array(array("d", values))
    kept[np.array(nans, bool)] = np.nan
    # As MLflow keeps infinities, and as a database may have them whose rows were written by hand.
    np.nan_to_num(kept, copy=False, nan=np.nan)
    return Points(array("q", steps), array("q", timestamps), array("d", kept.tobytes()))


def _is_sound(row: Any) -> bool:
    try:
        return len(_points([row])) == 1
    except (TypeError, ValueError, OverflowError):
        return False
