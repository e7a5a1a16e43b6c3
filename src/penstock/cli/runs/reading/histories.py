"""What the points of a run's metrics come to: how many there are, the least, the greatest, the course.

A hub knows that without reading the points to us. Other servers give the points, up to a limit, and it is made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.cli.runs.reading.source import RunSource
from penstock.errors import TrackingRefused
from penstock.fluent.views import TrackedRun

# Means that make up a course, and points of one metric that are read from a server that gives points alone.
COURSE = 40
MAX_POINTS = 100_000
_POINTS_PAGE = 25_000

_OWN_PATH = "/api/penstock/v1/runs/series"


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """`latest` by MLflow's rule: of the greatest step. `minimum` and `maximum` leave NaN out, and are NaN where all
    points are. `cut` says that there are more points than were read."""

    key: str
    latest: float
    step: int
    points: int
    minimum: float
    maximum: float
    course: Sequence[float] = ()
    cut: bool = False


def metric_facts(
    source: RunSource, run: TrackedRun, progress: Callable[[str], None] = lambda key: None
) -> list[MetricFacts]:
    """By key. `progress` is told which metric is read next, where each is read apart."""
    run_id = run.info.run_id
    if not run.data.metrics:
        return []
    first = source.found(_OWN_PATH, {"run_id": run_id, "buckets": COURSE})
    if first is None:
        facts = []
        for key in sorted(run.data.metrics):
            progress(key)
            facts.append(_of_points(source, run, key))
        return facts
    entries = list(first["series"])
    token = first.get("next_page_token", "")
    while token:
        page = source.found(_OWN_PATH, {"run_id": run_id, "buckets": COURSE, "page_token": token}) or {}
        entries += page.get("series", [])
        token = page.get("next_page_token", "")
    return [_told(entry) for entry in entries]


def _told(entry: Mapping[str, Any]) -> MetricFacts:
    return MetricFacts(
        entry["key"],
        float(entry["value"]),
        int(entry["step"]),
        int(entry["points"]),
        float(entry.get("minimum", math.nan)),
        float(entry.get("maximum", math.nan)),
        [float(mean) for mean in entry.get("means", [])],
    )


def _of_points(source: RunSource, run: TrackedRun, key: str) -> MetricFacts:
    found = _points(source, run.info.run_id, key)
    points = sorted((int(p.get("step", 0)), int(p["timestamp"]), float(p["value"])) for p in found[:MAX_POINTS])
    values = [value for _, _, value in points]
    numbers = [value for value in values if not math.isnan(value)] or [math.nan]
    return MetricFacts(
        key,
        run.data.metrics[key],
        points[-1][0] if points else 0,
        len(points),
        min(numbers),
        max(numbers),
        values,
        len(found) > MAX_POINTS,
    )


def _points(source: RunSource, run_id: str, key: str) -> list[dict[str, Any]]:
    fields = {"run_id": run_id, "metric_key": key}
    try:
        return list(
            source.pages("metrics/get-history", fields, "metrics", MAX_POINTS + 1, method="GET", size=_POINTS_PAGE)
        )
    except TrackingRefused as error:
        if error.status != 400:
            raise
        # Stores of files, as older servers have them, know no pages of points.
        return list((source.found("metrics/get-history", fields) or {}).get("metrics", []))
