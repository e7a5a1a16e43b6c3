"""Points of one key, over one run or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from penstock.sql.dialect import any_of, run
from penstock.tracking.charts import buckets_of
from penstock.tracking.metrics import Bucket, Points
from penstock.tracking.sql.points.chunks import read_points
from penstock.tracking.sql.run_reads import run_key

# Points of several series that are read at once, about: what is held of them while each is made smaller.
_READ_POINTS = 200_000


def read_history(c: Connection, run_id: str, key: str) -> Points:
    """All points of a series, by step, timestamp and value. Raises RunNotFound."""
    series = run(c, "SELECT id FROM penstock_series WHERE run = ? AND key = ?", run_key(c, run_id), key).scalar()
    return Points() if series is None else read_points(c, [series]).get(series, Points())


def read_histories(
    c: Connection, run_ids: Sequence[str], key: str, steps: tuple[int, int] | None = None
) -> Iterator[tuple[str, Points]]:
    """The points of one key over several runs, those that have any: runs by id, points by step, timestamp and value. A
    few runs are read at a time, as they are asked for."""
    condition, parameter = any_of(c, "r.run_id", list(run_ids))
    statement = (
        "SELECT r.run_id, s.id, s.points FROM penstock_runs r JOIN penstock_series s ON s.run = r.id "
        f"WHERE {condition} AND s.key = ? ORDER BY r.run_id"
    )
    for some in _a_few_at_a_time(run(c, statement, parameter, key)):
        found = read_points(c, [series for _, series, _ in some], steps)
        yield from ((run_id, found[series]) for run_id, series, _ in some if series in found)


def read_chart(
    c: Connection, run_ids: Sequence[str], key: str, count: int, steps: tuple[int, int] | None
) -> list[tuple[str, list[Bucket]]]:
    """The same as buckets over the steps of all the runs together."""
    histories = list(read_histories(c, run_ids, key, steps))
    if not histories:
        return []
    first = min(points.steps[0] for _, points in histories)
    last = max(points.steps[-1] for _, points in histories)
    return [(run_id, buckets_of(points, count, first, last)) for run_id, points in histories]


def _a_few_at_a_time(named: Sequence[Any]) -> Iterator[list[Any]]:
    """Rows that end in a number of points, in groups."""
    some: list[Any] = []
    for row in named:
        if some and sum(each[-1] for each in some) + row[-1] > _READ_POINTS:
            yield some
            some = []
        some.append(row)
    if some:
        yield some
