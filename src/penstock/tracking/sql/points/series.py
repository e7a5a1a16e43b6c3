"""Points into their series: rows of points, and what is known of each series without reading them.

Many points of one series that come together, and after all that it has, are packed as they come: no row is written
for them, and none deleted when they are packed later.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, pairs, run
from penstock.tracking.metrics import Metric, Point, Points, rank
from penstock.tracking.sql.keys import Keys
from penstock.tracking.sql.points.cells import cells_of, later_points
from penstock.tracking.sql.points.chunks import PACK_AT_ONCE, add_chunks, packed_points

_COLUMNS = (
    "s.run, s.key, s.id, s.points, s.hot, s.first_step, s.last_step, "
    "s.step, s.timestamp, s.value, s.nan, s.minimum, s.maximum"
)


@dataclass(slots=True)
class SeriesRow:
    """A row of the table of series that is being written to, and the points that are new to it. Minimum and maximum are
    None while every point is NaN."""

    run: int
    key: str
    id: int
    points: int = 0
    hot: int = 0
    first_step: int = 0
    last_step: int = 0
    latest: Point | None = None
    minimum: float | None = None
    maximum: float | None = None
    new: list[Point] = field(default_factory=list)

    @property
    def cells(self) -> tuple[int | str | float | None, ...]:
        """As the table has them."""
        latest = self.latest or Point(0, 0, 0.0)
        step, timestamp, value, nan = cells_of(latest)
        return (
            *(self.run, self.key, self.id, self.points, self.hot, self.first_step, self.last_step),
            *(step, timestamp, value, nan, self.minimum, self.maximum),
        )

    def add(self, points: Sequence[Point]) -> None:
        """Takes points into account that may be there already: nothing but their number depends on that."""
        if len(points) == 1 and self.latest is None:
            self._begin(points[0])
            return
        steps = [point.step for point in points]
        newest = max(points, key=rank)
        if self.latest is None:
            self.first_step, self.last_step, self.latest = min(steps), max(steps), newest
        else:
            self.first_step, self.last_step = min(self.first_step, *steps), max(self.last_step, *steps)
            self.latest = max(self.latest, newest, key=rank)
        for value in (point.value for point in points if not math.isnan(point.value)):
            self.minimum = value if self.minimum is None else min(self.minimum, value)
            self.maximum = value if self.maximum is None else max(self.maximum, value)

    def _begin(self, point: Point) -> None:
        """The same for the first and only one, as that of most series is."""
        self.first_step = self.last_step = point.step
        self.latest = point
        if not math.isnan(point.value):
            self.minimum = self.maximum = point.value

    def add_packed(self, points: Points) -> None:
        """The same for points in their order that are all new; they are no rows."""
        import numpy as np

        newest = Point(points.steps[-1], points.timestamps[-1], points.values[-1])
        if self.latest is None:
            self.first_step, self.last_step, self.latest = points.steps[0], newest.step, newest
        else:
            self.first_step, self.last_step = min(self.first_step, points.steps[0]), max(self.last_step, newest.step)
            self.latest = max(self.latest, newest, key=rank)
        self.points += len(points)
        values = np.frombuffer(points.values, np.float64)
        numbers = values[~np.isnan(values)]
        if len(numbers):
            least, greatest = float(numbers.min()), float(numbers.max())
            self.minimum = least if self.minimum is None else min(self.minimum, least)
            self.maximum = greatest if self.maximum is None else max(self.maximum, greatest)


def log_points(c: Connection, keys: Keys, logged: Sequence[tuple[int, Sequence[Metric]]]) -> None:
    """Adds the points of several runs. One that is there already is no other one."""
    if not logged:
        return
    grouped: dict[tuple[int, str], list[Metric]] = {}
    for run_key, metrics in logged:
        for metric in metrics:
            grouped.setdefault((run_key, metric.key), []).append(metric)
    rows = series_of(c, keys, list(grouped))
    packed: list[tuple[int, Points]] = []
    for at, metrics in grouped.items():
        row = rows[at]
        later = later_points(metrics, row.latest) if len(metrics) >= PACK_AT_ONCE else None
        if later is None:
            points = [Point(metric.step, metric.timestamp, metric.value) for metric in metrics]
            row.new = _without_packed(c, row, points)
            row.add(points)
        else:
            packed.append((row.id, later))
            row.add_packed(later)
    add_chunks(c, packed)
    insert_points(c, [row for row in rows.values() if row.new])
    insert_rows(c, tables.series, [row.cells for row in rows.values()], "replace")


def series_of(c: Connection, keys: Keys, wanted: list[tuple[int, str]]) -> dict[tuple[int, str], SeriesRow]:
    """The rows of these series, new ones for those that are not there."""
    source, parameters = pairs(c, wanted)
    statement = f"SELECT {_COLUMNS} FROM {source} penstock_series s ON s.run = wanted.run AND s.key = wanted.key"
    found = {}
    for row in run(c, statement, *parameters):
        latest = Point(row[7], row[8], math.nan if row[10] else row[9])
        counts = {"points": row[3], "hot": row[4], "first_step": row[5], "last_step": row[6]}
        bounds = {"minimum": row[11], "maximum": row[12]}
        found[row[0], row[1]] = SeriesRow(row[0], row[1], row[2], latest=latest, **counts, **bounds)
    return {at: found.get(at) or SeriesRow(*at, id=keys.series()) for at in wanted}


def _without_packed(c: Connection, row: SeriesRow, points: list[Point]) -> list[Point]:
    """The points that are in no chunk. Most come after the latest one, which needs no look, be it at the same step."""
    if row.points == row.hot or row.latest is None:
        return points
    latest = rank(row.latest)
    steps = [point.step for point in points if rank(point) <= latest]
    if not steps:
        return points
    packed = {cells_of(point) for point in packed_points(c, row.id, min(steps), max(steps))}
    return [point for point in points if cells_of(point) not in packed]


def insert_points(c: Connection, changed: Collection[SeriesRow]) -> None:
    """Inserts what is new, and counts what really was: the primary key knows duplicates."""
    cells = [(row.id, *cells_of(point)) for row in changed for point in row.new]
    before = {row.id: row.hot for row in changed}
    for row in changed:
        row.hot += len(row.new)
    if insert_rows(c, tables.points, cells, "keep") != len(cells):
        condition, parameter = any_of(c, "series", list(before))
        counted = run(c, f"SELECT series, count(*) FROM penstock_points WHERE {condition} GROUP BY series", parameter)
        hot: dict[int, int] = dict(counted)
        for row in changed:
            row.hot = hot.get(row.id, 0)
    for row in changed:
        row.points += row.hot - before[row.id]
