"""Points as columns into their series: packed as they come, each point once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import insert_rows
from penstock.tracking.metrics import Point, Points, rank
from penstock.tracking.sql.batches import mark_changed, run_keys
from penstock.tracking.sql.keys import Keys
from penstock.tracking.sql.points.cells import columns_of, in_order, points_of_columns
from penstock.tracking.sql.points.chunks import PACK_ENDED, add_chunks, read_points
from penstock.tracking.sql.points.series import SeriesRow, insert_points, series_of


def import_points(c: Connection, keys: Keys, blocks: Sequence[tuple[str, str, Points]]) -> dict[str, int]:
    """Blocks of run, key and points in any order. Says how many points of each run were new; runs that are not there
    are left out."""
    known = run_keys(c, {run_id for run_id, _, _ in blocks})
    grouped: dict[tuple[int, str], list[Points]] = {}
    for run_id, key, points in blocks:
        if run_id in known and len(points):
            grouped.setdefault((known[run_id][0], key), []).append(points)
    rows = series_of(c, keys, list(grouped))
    before = {at: row.points for at, row in rows.items()}
    packed: list[tuple[int, Points]] = []
    for at, parts in grouped.items():
        _add(c, rows[at], _sorted(parts), packed)
    add_chunks(c, packed)
    insert_points(c, [row for row in rows.values() if row.new])
    insert_rows(c, tables.series, [row.cells for row in rows.values()], "replace")
    added: dict[int, int] = {}
    for at, row in rows.items():
        added[at[0]] = added.get(at[0], 0) + row.points - before[at]
    mark_changed(c, keys, [key for key, count in added.items() if count])
    return {run_id: added[key] for run_id, (key, _) in known.items() if key in added}


def _add(c: Connection, row: SeriesRow, points: Points, packed: list[tuple[int, Points]]) -> None:
    """To a series: what comes after all that it has as a chunk, if that is worth one; else what it has not yet."""
    first = Point(points.steps[0], points.timestamps[0], points.values[0])
    if row.latest is not None and rank(first) <= rank(row.latest):
        there = read_points(c, [row.id], (points.steps[0], points.steps[-1])).get(row.id, Points())
        points = _without(points, there)
        if not len(points):
            return
    if len(points) < PACK_ENDED:
        row.new = list(points)
        row.add(row.new)
        return
    packed.append((row.id, points))
    row.add_packed(points)


def _sorted(parts: list[Points]) -> Points:
    """All points in their order, each once."""
    import numpy as np

    steps, timestamps, values = (np.concatenate(columns) for columns in zip(*map(columns_of, parts), strict=True))
    if in_order(steps, timestamps, values):
        return parts[0] if len(parts) == 1 else points_of_columns(steps, timestamps, values)
    order = np.lexsort((np.isnan(values), np.nan_to_num(values), timestamps, steps))
    columns = steps[order], timestamps[order], values[order]
    bytes_of = _identities(*columns)
    new = np.ones(len(order), bool)
    new[1:] = bytes_of[1:] != bytes_of[:-1]
    return points_of_columns(*(column[new] for column in columns))


def _without(points: Points, there: Points) -> Points:
    """Those that are not there."""
    import numpy as np

    columns = columns_of(points)
    new = ~np.isin(_identities(*columns), _identities(*columns_of(there)))
    return points_of_columns(*(column[new] for column in columns))


def _identities(steps: Any, timestamps: Any, values: Any) -> Any:
    """What makes points the same, as one column (n,) of bytes: all NaNs are one, and so are both zeros."""
    import numpy as np

    rows = np.empty((len(steps), 3), np.int64)
    rows[:, 0], rows[:, 1] = steps, timestamps
    rows[:, 2] = np.where(np.isnan(values), math.nan, values + 0.0).view(np.int64)
    return rows.view(np.dtype((np.void, 24))).ravel()
