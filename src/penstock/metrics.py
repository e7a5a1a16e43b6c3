"""Every metric, declared once. The only file that imports prometheus_client.

Labels are bounded: `model` and `version` come from loaded servables, never from a URL; requests that reached no model
carry empty ones. Children are bound when a version is loaded, so that the hot path looks nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

OUTCOMES = ("ok", "client_error", "model_error", "rejected", "timeout", "internal")
STAGES = ("decode", "queue", "predict", "encode")
DISPATCH_REASONS = ("idle", "freed", "full", "alone")

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LOAD_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


class Metrics:
    """All families of one process, in a registry of their own."""

    def __init__(self, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        served = ("model", "version")
        self.requests = self._counter("requests", "Requests answered.", *served, "protocol", "outcome")
        self.request_seconds = self._histogram(
            "request_seconds", "Time from the first byte read to the answer handed over.", _SECONDS, *served, "protocol"
        )
        self.stage_seconds = self._histogram("stage_seconds", "Time by stage of a request.", _SECONDS, *served, "stage")
        self.rows = self._counter("rows", "Rows predicted.", *served)
        self.batch_rows = self._histogram("batch_rows", "Rows handed to the model at once.", _ROWS, *served)
        self.batches = self._counter("batches", "Batches by the reason of their dispatch.", *served, "reason")
        self.queue_rows = self._gauge("queue_rows", "Rows waiting for the model.", *served)
        self.queue_limit_rows = self._gauge("queue_limit_rows", "Rows that may wait for the model.", *served)
        self.in_flight = self._gauge("in_flight_requests", "Requests being worked on.", *served)
        self.loads = self._counter("loads", "Versions loaded or refused.", "model", "outcome")
        self.load_seconds = self._histogram(
            "load_seconds", "Time to fetch, load and prove a version.", _LOAD_SECONDS, "model"
        )
        self.swaps = self._counter("swaps", "Changes of the version that answers.", "model", "kind")
        self.model_info = self._gauge(
            "model_info", "1 for each loaded version.", *served, "digest", "flavor", "alias", "state"
        )
        self.registry_success = self._gauge(
            "registry_last_success_timestamp_seconds",
            "When the registry last answered, in seconds since 1970.",
            "model",
        )
        self.registry_errors = self._counter("registry_errors", "Polls of the registry that failed.", "model")
        self.ready = self._gauge("ready", "1 while every model named at start is loaded and nothing is draining.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"penstock_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"penstock_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"penstock_{name}", text, labels, registry=self.registry, buckets=buckets)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def version(self, model: str, version: str) -> VersionMetrics:
        """The children of one version, bound."""
        return VersionMetrics.bind(self, model, version)

    def forget_version(self, model: str, version: str) -> None:
        """Drops every series of a version that is closed."""
        for family in (
            self.requests, self.request_seconds, self.stage_seconds, self.rows, self.batch_rows, self.batches,
            self.queue_rows, self.queue_limit_rows, self.in_flight, self.model_info,
        ):  # fmt: skip
            family.remove_by_labels({"model": model, "version": version})

    def describe_version(self, model: str, version: str, *, digest: str, flavor: str, alias: str, state: str) -> None:
        """Sets the info series of a version to its state now: current, previous or pinned; empty takes it away."""
        self.model_info.remove_by_labels({"model": model, "version": version})
        if state:
            self.model_info.labels(model, version, digest, flavor, alias, state).set(1)

    @contextmanager
    def loading(self, model: str) -> Iterator[None]:
        """Times a load and counts how it went."""
        with self.load_seconds.labels(model).time():
            try:
                yield
            except BaseException:
                self.loads.labels(model, "failed").inc()
                raise
        self.loads.labels(model, "ok").inc()

    def families(self) -> list[tuple[str, str, str]]:
        """Name, type and help of every metric of Penstock's own, for the documentation."""
        found = [
            (f.name + ("_total" if f.type == "counter" else ""), f.type, f.documentation)
            for f in self.registry.collect()
        ]
        return sorted(f for f in found if f[0].startswith("penstock_"))


@dataclass(frozen=True, slots=True)
class VersionMetrics:
    """One version's children, looked up once."""

    outcomes: dict[tuple[str, str], Any]
    request_seconds: dict[str, Any]
    stages: dict[str, Any]
    rows: Any
    batch_rows: Any
    batches: dict[str, Any]
    queue_rows: Any
    queue_limit_rows: Any
    in_flight: Any

    PROTOCOLS = ("invocations",)

    @classmethod
    def bind(cls, metrics: Metrics, model: str, version: str) -> VersionMetrics:
        labels = (model, version)
        return cls(
            outcomes={(p, o): metrics.requests.labels(*labels, p, o) for p in cls.PROTOCOLS for o in OUTCOMES},
            request_seconds={p: metrics.request_seconds.labels(*labels, p) for p in cls.PROTOCOLS},
            stages={s: metrics.stage_seconds.labels(*labels, s) for s in STAGES},
            rows=metrics.rows.labels(*labels),
            batch_rows=metrics.batch_rows.labels(*labels),
            batches={r: metrics.batches.labels(*labels, r) for r in DISPATCH_REASONS},
            queue_rows=metrics.queue_rows.labels(*labels),
            queue_limit_rows=metrics.queue_limit_rows.labels(*labels),
            in_flight=metrics.in_flight.labels(*labels),
        )
