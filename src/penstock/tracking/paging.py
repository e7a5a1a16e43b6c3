"""Pages of points, in the order in which MLflow gives them: by timestamp, step and value. For every store."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

from penstock.errors import TrackingInvalid
from penstock.mlflow_api.search.page_token import decode, encode, fingerprint
from penstock.tracking.metrics import Points
from penstock.tracking.queries import HistoryPage

_ENTITY = "points"


def page_of(points: Points, run_id: str, key: str, limit: int, page_token: str) -> HistoryPage:
    """A page of a whole series. Raises SearchInvalid for a token of another series, or none at all."""
    if limit < 1:
        raise TrackingInvalid(
            f"Invalid value {limit} for parameter 'max_results' supplied: it is at least 1.", field="max_results"
        )
    mark = fingerprint(run_id, key)
    (start,) = decode(page_token, _ENTITY, mark, ("number",)) if page_token else (0,)
    first = min(max(0, int(start or 0)), len(points))
    end = min(first + limit, len(points))
    token = encode(_ENTITY, mark, [end]) if end < len(points) else ""
    return HistoryPage(by_time(points).part(first, end), token)


def first_of(histories: Iterable[tuple[str, Points]], limit: int) -> list[tuple[str, Points]]:
    """The first `limit` points of several series together, each by time, series by series; those that come after are
    not asked for."""
    chosen: list[tuple[str, Points]] = []
    if limit < 1:
        return chosen
    for run_id, points in histories:
        chosen.append((run_id, by_time(points).part(0, limit)))
        limit -= len(points)
        if limit <= 0:
            break
    return chosen


def by_time(points: Points) -> Points:
    """By timestamp, step and value. Mostly that is the order in which they are."""
    import numpy as np

    times = np.frombuffer(points.timestamps, np.int64)
    if not np.any(times[1:] < times[:-1]):
        return points
    steps, values = np.frombuffer(points.steps, np.int64), np.frombuffer(points.values, np.float64)
    order = np.lexsort((np.nan_to_num(values), steps, times))
    columns: list[Any] = [array(code) for code in "qqd"]
    for made, column in zip(columns, (steps, times, values), strict=True):
        made.frombytes(column[order].tobytes())
    return Points(*columns)
