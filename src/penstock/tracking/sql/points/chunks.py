"""Reading and packing the points of a series: chunks, and the rows that are not packed yet.

A series is packed when its run has ended or its rows have become many. Packing moves rows into chunks and changes
nothing that anybody sees, so it happens while no write waits, a series at a time.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, run
from penstock.tracking.metrics import Point, Points

# How many rows make a series worth packing: those of a run that has ended, and those of one that goes on.
PACK_ENDED = 32
PACK_RUNNING = 4096


def packed_points(c: Connection, series: int, first: int, last: int) -> Iterator[Point]:
    """The points in those chunks of a series that have steps between these."""
    from penstock.tracking.sql.points.chunk_codec import decode

    statement = "SELECT data FROM penstock_chunks WHERE series = ? AND last_step >= ? AND first_step <= ?"
    for row in run(c, statement, series, first, last):
        yield from decode(bytes(row[0]))


def read_points(c: Connection, series: Sequence[int], steps: tuple[int, int] | None = None) -> dict[int, Points]:
    """All points of each series, or those with steps between two, by step, timestamp and value; those series that have
    any."""
    from penstock.tracking.sql.points.chunk_codec import decode

    condition, parameter = any_of(c, "series", list(series))
    within, of_rows, of_chunks = ("", (), ())  # type: tuple[str, tuple[int, ...], tuple[int, ...]]
    if steps is not None:
        within, of_rows, of_chunks = " AND step BETWEEN ? AND ?", steps, (steps[0], steps[1])
    parts: dict[int, list[Points]] = {}
    chunked = f"SELECT series, data FROM penstock_chunks WHERE {condition}"
    if steps is not None:
        chunked += " AND last_step >= ? AND first_step <= ?"
    for row in run(c, f"{chunked} ORDER BY series, number", parameter, *of_chunks):
        parts.setdefault(row[0], []).append(decode(bytes(row[1])))
    rows = f"SELECT series, step, timestamp, value, nan FROM penstock_points WHERE {condition}{within}"
    for key, points in _by_series(run(c, rows, parameter, *of_rows)):
        parts.setdefault(key, []).append(points)
    merged = {key: _merged(found, steps) for key, found in parts.items()}
    return {key: points for key, points in merged.items() if len(points)}


def pack(c: Connection, series: int) -> int:
    """Moves the rows of one series into chunks; says how many points it moved."""
    from penstock.tracking.sql.points.chunk_codec import CHUNK_POINTS, encode

    statement = (
        "SELECT step, timestamp, value, nan FROM penstock_points WHERE series = ? ORDER BY step, timestamp, value, nan"
    )
    rows = run(c, statement, series)
    if not rows:
        return 0
    number = run(c, "SELECT coalesce(max(number), 0) FROM penstock_chunks WHERE series = ?", series).scalar()
    for start in range(0, len(rows), CHUNK_POINTS):
        number += 1
        points = _of_rows(rows[start : start + CHUNK_POINTS])
        chunk = (series, number, len(points), points.steps[0], points.steps[-1], encode(points))
        insert_rows(c, tables.chunks, [chunk])
    run(c, "DELETE FROM penstock_points WHERE series = ?", series)
    return len(rows)


def _by_series(rows: Sequence[Any]) -> Iterator[tuple[int, Points]]:
    """Rows of (series, step, timestamp, value, nan), sorted by series where the table is its primary key."""
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row[1:])
    for key, found in grouped.items():
        yield key, _of_rows(found)


def _of_rows(rows: Sequence[Any]) -> Points:
    if not rows:
        return Points()
    steps, timestamps, values, nans = zip(*rows, strict=True)
    kept = values if not any(nans) else [math.nan if nan else value for value, nan in zip(values, nans, strict=True)]
    return Points(array("q", steps), array("q", timestamps), array("d", kept))


def _merged(parts: list[Points], steps: tuple[int, int] | None) -> Points:
    """All in one, in order. Parts follow each other but where points came late."""
    if len(parts) == 1 and steps is None:
        return parts[0]
    import numpy as np

    columns = [
        np.concatenate([np.frombuffer(column, kind) for column in of_parts])
        for of_parts, kind in (
            ([part.steps for part in parts], np.int64),
            ([part.timestamps for part in parts], np.int64),
            ([part.values for part in parts], np.float64),
        )
    ]
    at, when, values = columns
    if steps is not None:
        inside = (at >= steps[0]) & (at <= steps[1])
        at, when, values = at[inside], when[inside], values[inside]
    by_value = np.nan_to_num(values)
    earlier = by_value[1:] < by_value[:-1]
    for column in (when, at):
        earlier = (column[1:] < column[:-1]) | ((column[1:] == column[:-1]) & earlier)
    if np.any(earlier):
        order = np.lexsort((by_value, when, at))
        at, when, values = at[order], when[order], values[order]
    return Points(array("q", at.tobytes()), array("q", when.tobytes()), array("d", values.tobytes()))
