"""What was set out to reach, as ratios within one run. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from results import Overload, Results

FLOOR, PENSTOCK, MLFLOW = "floor", "Penstock", "MLflow"

IRIS, ONE = "iris, 1 row, 64 connections", "iris, 1 row, 1 connection"
IRIS_64 = "iris, 64 rows, 16 connections"
OPEN_SLOW, OPEN_FAST = "iris, open loop at a third of MLflow's rate", "iris, open loop at a third of Penstock's rate"
FOREST, FOREST_ONNX = "forest, 1 row, 64 connections", "forest as ONNX, 1 row, 64 connections"
ONNX_ONE = "forest as ONNX, 1 row, 1 connection"
WIDE, WIDE_LOOP = "forest as ONNX, 1000 × 30 JSON", "forest as ONNX, 1000 × 30 JSON, bare loop"
EMPTY, EMPTY_ARROW = "no model, 1000 × 30 JSON", "no model, 1000 × 30 Arrow"
FOREST_OVERLOAD, IRIS_OVERLOAD = "forest, open loop at 2 × capacity", "iris, open loop at 2 × capacity"

FLOOR_BY_WRK = "the floor, 1 row, 64 connections, by wrk instead of our generator"

RATE = "ok_per_second"
CPU = "cpu_microseconds"  # of the server, for each answer

# An accepted request's time is bounded if 99 of 100 are answered within so many milliseconds.
BOUNDED = 1000.0

Mark = Literal["stretch", "pass", "FAIL", "not measured"]


@dataclass(frozen=True)
class Target:
    """A figure and its goal: at least or at most; `stretch` is what would be better still."""

    name: str
    measure: Callable[[Results], float]
    goal: float
    stretch: float | None = None
    at_most: bool = False
    by_cpu: Callable[[Results], float] | None = None

    def judge(self, results: Results) -> tuple[float, Mark]:
        """The figure and its mark; NaN where it was not measured."""
        try:
            found = self.measure(results)
        except KeyError:
            return math.nan, "not measured"
        if math.isnan(found):
            return found, "not measured"
        if self.stretch is not None and self._reached(found, self.stretch):
            return found, "stretch"
        return found, "pass" if self._reached(found, self.goal) else "FAIL"

    def _reached(self, found: float, goal: float) -> bool:
        return found <= goal if self.at_most else found >= goal

    def by_processor(self, results: Results) -> float:
        """The same ratio of rates by the servers' processor time, which neighbours hardly disturb; NaN where none is."""
        try:
            return math.nan if self.by_cpu is None else self.by_cpu(results)
        except KeyError:
            return math.nan

    @property
    def wanted(self) -> str:
        more = "" if self.stretch is None else f" (stretch {self.stretch:g})"
        return f"{'≤' if self.at_most else '≥'} {self.goal:g}{more}"


def _rate(name: str, scenario: str, other: str, goal: float, stretch: float | None = None) -> Target:
    """Answers a second of Penstock's over another server's."""
    return Target(
        name,
        lambda r: r.ratio(RATE, (scenario, PENSTOCK), (scenario, other)),
        goal,
        stretch,
        by_cpu=lambda r: r.ratio(CPU, (scenario, other), (scenario, PENSTOCK)),
    )


def _ratio(key: str, scenario: str, other: str) -> Callable[[Results], float]:
    return lambda r: r.ratio(key, (scenario, PENSTOCK), (scenario, other))


def _share_of_loop(results: Results) -> float:
    if WIDE_LOOP not in results.loops:
        raise KeyError(WIDE_LOOP)
    rates = [float(r["ok_per_second"]) for r in results.find(WIDE, PENSTOCK).rounds]
    return statistics.median(a / b for a, b in zip(rates, results.loops[WIDE_LOOP], strict=True))


def _overload(figure: Callable[[Overload], float]) -> Callable[[Results], float]:
    def measure(results: Results) -> float:
        for each in results.overloads:
            if each.scenario == FOREST_OVERLOAD:
                return figure(each)
        raise KeyError(FOREST_OVERLOAD)

    return measure


TARGETS: tuple[Target, ...] = (
    _rate("scikit-learn, 1 row, 64 connections: rate / MLflow's", IRIS, MLFLOW, 35, 45),
    _rate("scikit-learn, 1 row, 64 connections: rate / the floor's", IRIS, FLOOR, 0.33, 0.42),
    Target("scikit-learn, 1 row, 64 connections: p99 / the floor's", _ratio("p99", IRIS, FLOOR), 2, at_most=True),
    Target("scikit-learn, 1 connection: p50 / MLflow's", _ratio("p50", ONE, MLFLOW), 0.25, at_most=True),
    Target("ONNX, 1 connection: p50 / the floor's", _ratio("p50", ONNX_ONE, FLOOR), 3, at_most=True),
    _rate("scikit-learn, 64 rows: rate / MLflow's", IRIS_64, MLFLOW, 18),
    _rate("random forest, 1 row: rate / MLflow's", FOREST, MLFLOW, 20),
    _rate("the forest as ONNX, 1 row: rate / the floor's", FOREST_ONNX, FLOOR, 0.25, 0.30),
    Target("the forest as ONNX, 1000 × 30 JSON: rate / the bare loop's", _share_of_loop, 0.6),
    Target("no model: Arrow rate / JSON rate", lambda r: r.ratio(RATE, (EMPTY_ARROW, PENSTOCK), (EMPTY, PENSTOCK)), 3),
    Target("forest at 2 × capacity: goodput / capacity", _overload(lambda o: o.goodput), 0.85),
    Target("forest at 2 × capacity: p99 of accepted, ms", _overload(lambda o: float(o.during["p99"])), BOUNDED, at_most=True),
    Target("forest at 2 × capacity: share of the rest told 429", _overload(lambda o: o.refused_rightly), 0.999),
    Target("forest at 2 × capacity: growth of memory", _overload(lambda o: o.growth), 0.05, at_most=True),
    Target("memory of an ONNX server, MB", lambda r: r.find(FOREST_ONNX, PENSTOCK).megabytes, 100, at_most=True),
    Target("memory of a scikit-learn server, MB", lambda r: r.find(IRIS, PENSTOCK).megabytes, 220, at_most=True),
)  # fmt: skip
