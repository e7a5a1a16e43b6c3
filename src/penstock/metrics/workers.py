"""What a supervisor counts of its workers."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, PlatformCollector, ProcessCollector

from penstock.metrics.aggregate import Family
from penstock.metrics.process import RESTARTS, WORKERS, families_of


class SupervisorCounts(Protocol):
    """Metrics that know of worker processes."""

    workers: Gauge
    worker_restarts: Counter

    def collect(self) -> list[Family]:
        """All metrics as plain values."""


class HubSupervisorMetrics:
    """All families of the supervisor of a hub's workers, in a registry of their own."""

    def __init__(self, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        self.workers = Gauge("penstock_workers", WORKERS, ("state",), registry=self.registry)
        self.worker_restarts = Counter("penstock_worker_restarts", RESTARTS, ("worker",), registry=self.registry)

    def collect(self) -> list[Family]:
        return families_of(self.registry)
