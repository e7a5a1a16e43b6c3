"""The numbers of a version, and the metrics that they become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from penstock.metrics.numbers import Distribution, Number, Reading

PROTOCOLS = ("invocations",)
OUTCOMES = ("ok", "client_error", "model_error", "rejected", "timeout", "internal")
STAGES = ("decode", "queue", "predict", "encode")
DISPATCH_REASONS = ("idle", "freed", "full", "alone")
LIMITS = ("rows", "wait", "deadline", "requests", "bytes", "readers")
PROCESS_STATES = ("starting", "ready", "waiting", "failed")

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# Four stages of each version: that they are told apart matters more than the last digit.
_STAGE_SECONDS = (0.0001, 0.0005, 0.0025, 0.01, 0.05, 0.25, 1, 5)
_ROWS = (1, 4, 16, 64, 256, 1024, 4096)


def _seconds() -> Distribution:
    return Distribution(SECONDS)


def _rows() -> Distribution:
    return Distribution(_ROWS)


@dataclass(slots=True)
class VersionMetrics:
    """One version's numbers. Touched on the event loop only."""

    outcomes: dict[tuple[str, str], Number] = field(
        default_factory=lambda: {(p, o): Number() for p in PROTOCOLS for o in OUTCOMES}
    )
    request_seconds: dict[str, Distribution] = field(default_factory=lambda: {p: _seconds() for p in PROTOCOLS})
    stages: dict[str, Distribution] = field(default_factory=lambda: {s: Distribution(_STAGE_SECONDS) for s in STAGES})
    rows: Number = field(default_factory=Number)
    batch_rows: Distribution = field(default_factory=_rows)
    batches: dict[str, Number] = field(default_factory=lambda: {r: Number() for r in DISPATCH_REASONS})
    queue_rows: Number = field(default_factory=Number)
    queue_large_rows: Number = field(default_factory=Number)
    queue_limit_rows: Number = field(default_factory=Number)
    in_flight: Number = field(default_factory=Number)
    overloaded: dict[str, Number] = field(default_factory=lambda: {limit: Number() for limit in LIMITS})
    request_limit: Number = field(default_factory=Number)
    drain_rate: Number = field(default_factory=Number)
    stuck_threads: Number = field(default_factory=Number)
    # Empty where the version runs in this process.
    processes: dict[str, Number] = field(default_factory=dict)
    process_restarts: dict[str, Number] = field(default_factory=dict)
    process_memory: dict[str, Reading] = field(default_factory=dict)

    def runs_apart(self, memory: Callable[[], float]) -> None:
        """The version has processes of its own; `memory` gives the bytes that they hold."""
        self.processes = {state: Number() for state in PROCESS_STATES}
        self.process_restarts = self.process_restarts or {"": Number()}
        self.process_memory = {"": Reading(memory)}

    def runs_here(self) -> None:
        """The version runs in this process, wherever it did before."""
        self.processes, self.process_restarts, self.process_memory = {}, {}, {}


_Series: TypeAlias = Iterable[tuple[tuple[str, ...], "Number | Distribution"]]


@dataclass(frozen=True, slots=True)
class _Family:
    """One metric of versions: its name, its own labels beside model and version, where its series are, and whether it
    counts requests that reach no version, too."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]
    series: Callable[[VersionMetrics], _Series]
    unserved: bool = False


def _one(name: str) -> Callable[[VersionMetrics], _Series]:
    return lambda m: [((), getattr(m, name))]


def _each(name: str) -> Callable[[VersionMetrics], _Series]:
    return lambda m: [((key,) if isinstance(key, str) else key, child) for key, child in getattr(m, name).items()]


def _all(name: str) -> Callable[[VersionMetrics], _Series]:
    """One number, or none."""
    return lambda m: [((), child) for child in getattr(m, name).values()]


FAMILIES = (
    _Family("requests", "counter", "Requests answered.", ("protocol", "outcome"), _each("outcomes"), True),
    _Family(
        "request_seconds",
        "histogram",
        "Time from the first byte read to the answer handed over.",
        ("protocol",),
        _each("request_seconds"),
        True,
    ),
    _Family("stage_seconds", "histogram", "Time by stage of a request.", ("stage",), _each("stages")),
    _Family("rows", "counter", "Rows predicted.", (), _one("rows")),
    _Family("batch_rows", "histogram", "Rows per batch.", (), _one("batch_rows")),
    _Family("batches", "counter", "Batches by the reason for their dispatch.", ("reason",), _each("batches")),
    _Family(
        "queue_rows", "gauge", "Rows waiting for the model, without those of large requests.", (), _one("queue_rows")
    ),
    _Family(
        "queue_large_rows",
        "gauge",
        "Rows of large requests that wait for the model; they have a queue of their own.",
        (),
        _one("queue_large_rows"),
    ),
    _Family("queue_limit_rows", "gauge", "Rows that may wait for the model.", (), _one("queue_limit_rows")),
    _Family("in_flight_requests", "gauge", "Requests being processed.", (), _one("in_flight")),
    _Family(
        "in_flight_limit_requests",
        "gauge",
        "Limit of requests being processed, from the setting max_wait and the measured answer rate.",
        (),
        _one("request_limit"),
    ),
    _Family(
        "drain_rows_per_second",
        "gauge",
        "Rows per second that the model answers while it is busy.",
        (),
        _one("drain_rate"),
    ),
    _Family(
        "stuck_threads",
        "counter",
        "Threads that were left because a prediction in them hung; a model process took the version's place.",
        (),
        _one("stuck_threads"),
    ),
    _Family("model_processes", "gauge", "Model processes of a version, by state.", ("state",), _each("processes")),
    _Family(
        "model_process_restarts",
        "counter",
        "Model processes of a version that ended and were restarted.",
        (),
        _all("process_restarts"),
    ),
    _Family(
        "model_process_memory_bytes",
        "gauge",
        "Memory in use by a version's model processes.",
        (),
        _all("process_memory"),
    ),
    _Family(
        "overloaded",
        "counter",
        "Requests refused with status 429, by the limit that they reached.",
        ("limit",),
        _each("overloaded"),
        True,
    ),
)


# The model and version of requests that reach none.
_UNSERVED = ("", "")


class Versions(Collector):
    """Hands the versions' numbers to prometheus_client when it collects."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], VersionMetrics] = {}

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield self._fill(family)

    def _fill(self, family: _Family) -> Metric:
        name, labels = f"penstock_{family.name}", ("model", "version", *family.labels)
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(name, family.text, labels=labels)
            for values, child in self._children(family):
                assert isinstance(child, Distribution)
                histogram.add_metric(values, child.cumulative(), child.total)
            return histogram
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        numbers = kind(name, family.text, labels=labels)
        for values, child in self._children(family):
            assert isinstance(child, Number)
            numbers.add_metric(values, child.value)
        return numbers

    def _children(self, family: _Family) -> Iterator[tuple[tuple[str, ...], Number | Distribution]]:
        for served, metrics in list(self.known.items()):  # scrapes run in a thread, and versions come and go
            if served == _UNSERVED and not family.unserved:
                continue
            for values, child in family.series(metrics):
                yield (*served, *values), child
