"""Points as the tables have them, and in the order of a series."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, TypeAlias

from penstock.tracking.metrics import Metric, Point, Points, rank

# Steps, timestamps and values, each a column (n,) of numpy.
Columns: TypeAlias = tuple[Any, Any, Any]


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


def columns_of(points: Points) -> Columns:
    """Views of the columns (n,) for numpy."""
    import numpy as np

    return (
        np.frombuffer(points.steps, np.int64),
        np.frombuffer(points.timestamps, np.int64),
        np.frombuffer(points.values, np.float64),
    )


def points_of_columns(steps: Any, timestamps: Any, values: Any) -> Points:
    """The inverse, which copies."""
    return Points(array("q", steps.tobytes()), array("q", timestamps.tobytes()), array("d", values.tobytes()))


def later_points(metrics: Sequence[Metric], latest: Point | None) -> Points | None:
    """The points of one key in their order, each once; None unless all of them come after the latest one."""
    points = Points(
        array("q", [metric.step for metric in metrics]),
        array("q", [metric.timestamp for metric in metrics]),
        array("d", [metric.value for metric in metrics]),
    )
    if not in_order(*columns_of(points)):
        points = points_of_cells(sorted({cells_of(metric) for metric in metrics}))
    first = Point(points.steps[0], points.timestamps[0], points.values[0])
    return points if latest is None or rank(first) > rank(latest) else None


def in_order(steps: Any, timestamps: Any, values: Any) -> bool:
    """Whether each point comes after the one before: columns (n,) of numpy."""
    import numpy as np

    after = steps[1:] > steps[:-1]
    if after.all():
        return True
    ranked = np.where(np.isnan(values), 0.0, values)
    within = ranked[1:] > ranked[:-1]
    within = (timestamps[1:] > timestamps[:-1]) | ((timestamps[1:] == timestamps[:-1]) & within)
    return bool((after | ((steps[1:] == steps[:-1]) & within)).all())
