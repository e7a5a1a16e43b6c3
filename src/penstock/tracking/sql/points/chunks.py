"""Reading and packing the points of a series: chunks, and the rows that are not packed yet.

A series is packed when its run has ended or its rows have become many, and so are chunks that are small and many.
Packing changes nothing that anybody sees, so it happens while no write waits, a series at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, run, run_each
from penstock.tracking.metrics import Point, Points
from penstock.tracking.sql.points.cells import Columns, columns_of, in_order, points_of_cells, points_of_columns

# How many rows make a series worth packing: those of a run that has ended, and those of one that goes on.
PACK_ENDED = 32
PACK_RUNNING = 4096
# How many points of one series that come together are a chunk at once; and how many chunks of fewer points than these
# are worth being made into one, in a run that has ended and in one that goes on.
PACK_AT_ONCE = 64
SMALL_CHUNK = 2048
MERGE_ENDED = 8
MERGE_RUNNING = 64

# Chunks that are made into one at a time: all of their points are held.
_MOST_MERGED = 1024


def packed_points(c: Connection, series: int, first: int, last: int) -> Iterator[Point]:
    """The points in those chunks of a series that have steps between these."""
    from penstock.tracking.sql.points.chunk_codec import decode

    statement = "SELECT data FROM penstock_chunks WHERE series = ? AND last_step >= ? AND first_step <= ?"
    for row in run(c, statement, series, first, last):
        yield from decode(bytes(row[0]))


def read_points(c: Connection, series: Sequence[int], steps: tuple[int, int] | None = None) -> dict[int, Points]:
    """All points of each series, or those with steps between two, by step, timestamp and value; those series that have
    any."""
    from penstock.tracking.sql.points.chunk_codec import decode_columns

    condition, parameter = any_of(c, "series", list(series))
    within, of_rows, of_chunks = ("", (), ())  # type: tuple[str, tuple[int, ...], tuple[int, ...]]
    if steps is not None:
        within, of_rows, of_chunks = " AND step BETWEEN ? AND ?", steps, (steps[0], steps[1])
    parts: dict[int, list[Columns]] = {}
    chunked = f"SELECT series, data FROM penstock_chunks WHERE {condition}"
    if steps is not None:
        chunked += " AND last_step >= ? AND first_step <= ?"
    for row in run(c, f"{chunked} ORDER BY series, number", parameter, *of_chunks):
        parts.setdefault(row[0], []).append(decode_columns(bytes(row[1])))
    rows = f"SELECT series, step, timestamp, value, nan FROM penstock_points WHERE {condition}{within}"
    for key, points in _by_series(run(c, rows, parameter, *of_rows)):
        parts.setdefault(key, []).append(columns_of(points))
    merged = {key: _merged(found, steps) for key, found in parts.items()}
    return {key: points for key, points in merged.items() if len(points)}


def add_chunks(c: Connection, packed: Sequence[tuple[int, Points]]) -> None:
    """Adds points, in their order, to series by their ids."""
    from penstock.tracking.sql.points.chunk_codec import CHUNK_POINTS, encode

    if not packed:
        return
    condition, parameter = any_of(c, "series", sorted({series for series, _ in packed}))
    found = run(c, f"SELECT series, max(number) FROM penstock_chunks WHERE {condition} GROUP BY series", parameter)
    numbers: dict[int, int] = dict(found)
    chunks = []
    for series, points in packed:
        for start in range(0, len(points), CHUNK_POINTS):
            some = points.part(start, start + CHUNK_POINTS)
            numbers[series] = numbers.get(series, 0) + 1
            chunks.append((series, numbers[series], len(some), some.steps[0], some.steps[-1], encode(some)))
    insert_rows(c, tables.chunks, chunks)


def pack(c: Connection, series: int) -> int:
    """Makes chunks of the rows of one series and of its small chunks; says how many points those have."""
    from penstock.tracking.sql.points.chunk_codec import decode_columns

    rows = run(c, "SELECT step, timestamp, value, nan FROM penstock_points WHERE series = ?", series)
    small = run(
        c,
        "SELECT number, data FROM penstock_chunks WHERE series = ? AND points < ? ORDER BY number LIMIT ?",
        *(series, SMALL_CHUNK, _MOST_MERGED),
    )
    parts = [decode_columns(bytes(data)) for _, data in small]
    if rows:
        parts.append(columns_of(points_of_cells(sorted(rows))))
    if not parts:
        return 0
    run_each(c, "DELETE FROM penstock_chunks WHERE series = ? AND number = ?", [(series, each[0]) for each in small])
    points = _merged(parts, None)
    add_chunks(c, [(series, points)])
    if rows:
        run(c, "DELETE FROM penstock_points WHERE series = ?", series)
    return len(points)


def _by_series(rows: Sequence[Any]) -> Iterator[tuple[int, Points]]:
    """Rows of (series, step, timestamp, value, nan), sorted by series where the table is its primary key."""
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row[1:])
    for key, found in grouped.items():
        yield key, points_of_cells(found)


def _merged(parts: list[Columns], steps: tuple[int, int] | None) -> Points:
    """All in one, in order. Parts follow each other but where points came late."""
    import numpy as np

    at, when, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if steps is not None:
        inside = (at >= steps[0]) & (at <= steps[1])
        at, when, values = at[inside], when[inside], values[inside]
    if not in_order(at, when, values):
        order = np.lexsort((np.isnan(values), np.nan_to_num(values), when, at))
        at, when, values = at[order], when[order], values[order]
    return points_of_columns(at, when, values)
