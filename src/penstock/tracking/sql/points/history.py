"""Points of one key, over one run or several."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.sql.dialect import any_of, run
from penstock.tracking.charts import buckets_of
from penstock.tracking.metrics import Bucket, Points
from penstock.tracking.sql.points.chunks import read_points
from penstock.tracking.sql.run_reads import run_key


def read_history(c: Connection, run_id: str, key: str) -> Points:
    """All points of a series, by step, timestamp and value. Raises RunNotFound."""
    series = run(c, "SELECT id FROM penstock_series WHERE run = ? AND key = ?", run_key(c, run_id), key).scalar()
    return Points() if series is None else read_points(c, [series]).get(series, Points())


def read_histories(
    c: Connection, run_ids: Sequence[str], key: str, steps: tuple[int, int] | None = None
) -> list[tuple[str, Points]]:
    """The points of one key over several runs: runs by id, points by step, timestamp and value."""
    condition, parameter = any_of(c, "r.run_id", list(run_ids))
    statement = (
        "SELECT r.run_id, s.id FROM penstock_runs r JOIN penstock_series s ON s.run = r.id "
        f"WHERE {condition} AND s.key = ? ORDER BY r.run_id"
    )
    named = run(c, statement, parameter, key)
    found = read_points(c, [series for _, series in named], steps)
    return [(run_id, found[series]) for run_id, series in named if series in found]


def read_chart(
    c: Connection, run_ids: Sequence[str], key: str, count: int, steps: tuple[int, int] | None
) -> list[tuple[str, list[Bucket]]]:
    """The same as buckets over the steps of all the runs together."""
    histories = read_histories(c, run_ids, key, steps)
    if not histories:
        return []
    first = min(points.steps[0] for _, points in histories)
    last = max(points.steps[-1] for _, points in histories)
    return [(run_id, buckets_of(points, count, first, last)) for run_id, points in histories]
