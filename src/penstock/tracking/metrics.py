"""Metrics: the points of a series, and what is known of a series without reading its points.

A series is all points of one key in one run. A point is (step, timestamp, value); the same point twice is one point.
Infinities are the largest finite numbers, as MLflow keeps them; NaN is NaN. The latest point is the one with the
greatest (step, timestamp, value), in which NaN counts as 0, again as in MLflow.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Metric(NamedTuple):
    """One point under its key. `timestamp` is milliseconds since 1970. A point may be about a logged model, and be
    measured over a dataset; those are empty where it is not."""

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class Point(NamedTuple):
    """In the order that makes the greatest point of a series the latest one; see `rank`."""

    step: int
    timestamp: int
    value: float


def kept_value(value: float) -> float:
    """How a value is kept: infinities become the largest finite numbers."""
    if value == math.inf:
        return sys.float_info.max
    if value == -math.inf:
        return -sys.float_info.max
    return value


def rank(point: Point) -> tuple[int, int, float, bool]:
    """What points are compared by: NaN counts as 0, and comes after it."""
    nan = math.isnan(point.value)
    return point.step, point.timestamp, 0.0 if nan else point.value, nan


@dataclass(slots=True, repr=False)
class Points:
    """Points in columns, which hold a hundred thousand of them in 2.4 MB."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    timestamps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    @classmethod
    def of(cls, points: Iterable[tuple[int, int, float]]) -> Points:
        rows = list(points)
        return cls(
            array("q", [row[0] for row in rows]),
            array("q", [row[1] for row in rows]),
            array("d", [row[2] for row in rows]),
        )

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"<Points: {len(self)}>"

    def __iter__(self) -> Iterator[Point]:
        return map(Point, self.steps, self.timestamps, self.values)

    def part(self, first: int, end: int) -> Points:
        """Those from one place to before another."""
        return Points(self.steps[first:end], self.timestamps[first:end], self.values[first:end])

    def take(self, places: Iterable[int]) -> Points:
        """Those at these places, in their order."""
        return Points.of((self.steps[i], self.timestamps[i], self.values[i]) for i in places)


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What is known of a series at once. `minimum` and `maximum` leave NaN out, and are NaN where all points are."""

    key: str
    count: int
    first_step: int
    last_step: int
    latest: Point
    minimum: float
    maximum: float


class Bucket(NamedTuple):
    """A stretch of a chart: how many points are in it, between which steps and times, and their least, mean and
    greatest value without NaN. No spike is lost: it is some bucket's least or greatest."""

    points: int
    first_step: int
    last_step: int
    first_timestamp: int
    last_timestamp: int
    minimum: float
    mean: float
    maximum: float
