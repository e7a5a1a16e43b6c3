"""Points as the tables have them, and in the order of a series."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

from penstock.tracking.metrics import Metric, Point, Points, rank


def cells_of(point: Point | Metric) -> tuple[int, int, float, int]:
    """Step, timestamp, value and whether it is NaN, as the tables have them."""
    nan = math.isnan(point.value)
    return point.step, point.timestamp, 0.0 if nan else point.value, int(nan)


def points_of_cells(rows: Sequence[Any]) -> Points:
    """The inverse, for many."""
    if not rows:
        return Points()
    steps, timestamps, values, nans = zip(*rows, strict=True)
    kept = values if not any(nans) else [math.nan if nan else value for value, nan in zip(values, nans, strict=True)]
    return Points(array("q", steps), array("q", timestamps), array("d", kept))


def later_points(metrics: Sequence[Metric], latest: Point | None) -> Points | None:
    """The points of one key in their order, each once; None unless all of them come after the latest one."""
    import numpy as np

    points = Points(
        array("q", [metric.step for metric in metrics]),
        array("q", [metric.timestamp for metric in metrics]),
        array("d", [metric.value for metric in metrics]),
    )
    columns = ((points.steps, np.int64), (points.timestamps, np.int64), (points.values, np.float64))
    if not in_order(*(np.frombuffer(column, kind) for column, kind in columns)):
        points = points_of_cells(sorted({cells_of(metric) for metric in metrics}))
    first = Point(points.steps[0], points.timestamps[0], points.values[0])
    return points if latest is None or rank(first) > rank(latest) else None


def in_order(steps: Any, timestamps: Any, values: Any) -> bool:
    """Whether each point comes after the one before: columns (n,) of numpy."""
    import numpy as np

    after = np.nan_to_num(values[1:]) > np.nan_to_num(values[:-1])
    for column in (timestamps, steps):
        after = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & after)
    return bool(after.all())
