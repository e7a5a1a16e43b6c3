"""Points for charts: real ones, sampled by MLflow's rule, or buckets in which no spike is lost. For every store."""

from __future__ import annotations

from typing import Any

from penstock.tracking.metrics import Bucket, Points


def buckets_of(points: Points, count: int, first: int, last: int) -> list[Bucket]:
    """The points in at most `count` buckets, evenly over the steps from `first` to `last`, without empty ones."""
    import numpy as np

    if not len(points):
        return []
    steps, values = np.frombuffer(points.steps, np.int64), np.frombuffer(points.values, np.float64)
    times = np.frombuffer(points.timestamps, np.int64)
    width = max(1.0, (float(last) - float(first) + 1.0) / count)
    places = np.minimum(((steps.astype(np.float64) - first) / width).astype(np.int64), count - 1)
    starts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    ends = np.append(starts[1:], len(places))
    number = ~np.isnan(values)
    counted = np.add.reduceat(number.astype(np.int64), starts)
    with np.errstate(invalid="ignore", over="ignore"):
        # Halves are added up, so that the sum of two of the largest numbers, which stand for infinities, is one.
        sums = np.add.reduceat(np.where(number, values / 2, 0.0), starts)
        means = np.where(counted > 0, sums / np.maximum(counted, 1) * 2, np.nan)
    least = np.minimum.reduceat(np.where(number, values, np.inf), starts)
    most = np.maximum.reduceat(np.where(number, values, -np.inf), starts)
    empty = counted == 0
    columns: list[Any] = [
        (ends - starts).tolist(),
        steps[starts].tolist(),
        steps[ends - 1].tolist(),
        np.minimum.reduceat(times, starts).tolist(),
        np.maximum.reduceat(times, starts).tolist(),
        np.where(empty, np.nan, least).tolist(),
        means.tolist(),
        np.where(empty, np.nan, most).tolist(),
    ]
    return [Bucket(*row) for row in zip(*columns, strict=True)]


def sample(points: Points, limit: int) -> Points:
    """At most `limit` of the points, in their order: the first of each of `limit` stretches that are as equal in length
    as they can be, and the last point in place of the last of these. Source: MLflow 3.18, which says NTILE."""
    total = len(points)
    if total <= limit:
        return points
    longer = total % limit
    size = total // limit
    places = [n * size + min(n, longer) for n in range(limit)]
    places[-1] = total - 1
    return points.take(places)
