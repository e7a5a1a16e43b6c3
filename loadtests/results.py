"""What a benchmark found, and the ratios between its measurements. Pure: no server, no clock, no file."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from histogram import Histogram

Summary = dict[str, Any]


@dataclass
class Measurement:
    """One server under one load: a summary of the generator for each round, in the order of the rounds."""

    scenario: str
    server: str
    rounds: list[Summary] = field(default_factory=list)
    seconds_to_ready: float = 0.0
    megabytes: float = 0.0

    def median(self, key: str) -> float:
        return statistics.median(float(r[key]) for r in self.rounds)

    @property
    def histogram(self) -> Histogram:
        """Every round's durations together."""
        whole = Histogram()
        for summary in self.rounds:
            whole.merge(Histogram.from_json(summary["histogram"]))
        return whole

    @property
    def troubles(self) -> str:
        """Whatever was not a good answer, in words; empty where all was well."""
        others: dict[str, int] = {}
        for summary in self.rounds:
            for status, count in summary["statuses"].items():
                if status != "200":
                    others[status] = others.get(status, 0) + count
            for name, word in (("errors", "lost"), ("unanswered", "unanswered")):
                others[word] = others.get(word, 0) + summary[name]
        return ", ".join(f"{count:,} × {what}" for what, count in others.items() if count)


@dataclass
class Overload:
    """Twice the capacity for a while: good answers a second before, meanwhile and after; memory over time."""

    scenario: str
    before: float
    during: Summary
    after: float
    memory: list[tuple[float, float]]

    @property
    def capacity(self) -> float:
        return (self.before + self.after) / 2

    @property
    def goodput(self) -> float:
        """Good answers a second under overload, as a share of the capacity."""
        return float(self.during["ok_per_second"]) / self.capacity

    @property
    def refused_rightly(self) -> float:
        """Of all that was not a good answer, the share that was told 429."""
        statuses = self.during["statuses"]
        bad = sum(statuses.values()) - statuses.get("200", 0) + self.during["errors"] + self.during["unanswered"]
        return statuses.get("429", 0) / bad if bad else 1.0

    @property
    def growth(self) -> float:
        return growth([megabytes for _, megabytes in self.memory])


@dataclass
class Results:
    """Everything of one run. `loops` are rates by other means than our generator, one for each round."""

    machine: dict[str, str]
    measurements: list[Measurement] = field(default_factory=list)
    loops: dict[str, list[float]] = field(default_factory=dict)
    overloads: list[Overload] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)

    def find(self, scenario: str, server: str) -> Measurement:
        """Raises KeyError where it was not measured."""
        for each in self.measurements:
            if (each.scenario, each.server) == (scenario, server):
                return each
        raise KeyError(f"{scenario} on {server}")

    def has(self, scenario: str, server: str) -> bool:
        return any((m.scenario, m.server) == (scenario, server) for m in self.measurements)

    def ratio(self, key: str, one: tuple[str, str], other: tuple[str, str]) -> float:
        """The median over rounds of one measurement's figure over the other's: both saw the same noise.

        Raises KeyError where either was not measured.
        """
        return paired_ratio(
            [float(r[key]) for r in self.find(*one).rounds], [float(r[key]) for r in self.find(*other).rounds]
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> Results:
        return cls(
            machine=read["machine"],
            measurements=[Measurement(**m) for m in read["measurements"]],
            loops=read["loops"],
            overloads=[
                Overload(**{**o, "memory": [(at, size) for at, size in o["memory"]]}) for o in read["overloads"]
            ],
            runs=read["runs"],
        )


def paired_ratio(one: list[float], other: list[float]) -> float:
    """The median of the ratios of each round; NaN where no round has both."""
    ratios = [a / b for a, b in zip(one, other, strict=False) if b and not math.isnan(a) and not math.isnan(b)]
    return statistics.median(ratios) if ratios else math.nan


def growth(samples: Iterable[float]) -> float:
    """How much the last quarter's mean exceeds the second quarter's, as a share: the first is warm-up. NaN for less than
    eight samples."""
    values = list(samples)
    quarter = len(values) // 4
    if quarter < 2:
        return math.nan
    early = statistics.mean(values[quarter : 2 * quarter])
    return statistics.mean(values[-quarter:]) / early - 1
