"""The metrics of a hub: requests by endpoint, commits, disks, and the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from penstock.metrics.aggregate import Family
from penstock.metrics.numbers import Distribution, Number
from penstock.metrics.process import Lag, families_of, text_of
from penstock.version import __version__

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_WRITES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


# Why the gate refuses a request.
HUB_REFUSALS = ("no_token", "unknown_token", "role", "host", "origin")


class _HubNumbers(Collector):
    """What changes with every request and commit. Endpoints are templates of the table of routes, never paths."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str], Distribution] = {}
        self.commit_seconds = Distribution(_COMMIT_SECONDS)
        self.commit_writes = Distribution(_WRITES)
        self.received = Number()
        self.sent = Number()
        self.not_taken = Number()

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(
            "penstock_hub_request_seconds",
            "Time from a request's head to its answer, by endpoint and status (2xx, 4xx, 5xx).",
            labels=("endpoint", "status"),
        )
        for labels, seconds in list(self.requests.items()):
            family.add_metric(labels, seconds.cumulative(), seconds.total)
        yield family
        for name, text, distribution in (
            ("commit_seconds", "Time of a commit to the database, from its first statement on.", self.commit_seconds),
            ("commit_writes", "Writes in one commit: what came while the last one ran.", self.commit_writes),
        ):
            family = HistogramMetricFamily(f"penstock_hub_{name}", text)
            family.add_metric((), distribution.cumulative(), distribution.total)
            yield family
        for name, text, number in (
            ("artifact_received_bytes", "Bytes of artifacts uploaded.", self.received),
            ("artifact_sent_bytes", "Bytes of artifacts downloaded.", self.sent),
            (
                "writes_not_taken",
                "Writes that the database did not take: it was away, locked, full or read-only.",
                self.not_taken,
            ),
        ):
            yield CounterMetricFamily(f"penstock_hub_{name}", text, number.value)


class _Disks(Collector):
    """How full the disks are on which a hub keeps something, looked up when somebody scrapes."""

    def __init__(self) -> None:
        self.places: dict[str, Path] = {}

    def collect(self) -> Iterator[Metric]:
        free = GaugeMetricFamily(
            "penstock_hub_disk_free_bytes",
            "Free bytes of the disk that holds the store or the artifacts, if it is one of this machine.",
            labels=("place",),
        )
        size = GaugeMetricFamily("penstock_hub_disk_size_bytes", "Size of that disk.", labels=("place",))
        for place, path in self.places.items():
            try:
                # A directory may only be made when something is written to it.
                found = disk_usage(next((p for p in (path, *path.parents) if p.exists()), path))
            except OSError:  # a disk that is gone takes no other metric along
                continue
            free.add_metric((place,), found.free)
            size.add_metric((place,), found.total)
        yield from (free, size)


class HubMetrics:
    """All families of a hub, in a registry of their own."""

    def __init__(self, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        lag = Lag()
        self.registry.register(lag)
        self.loop_lag = lag.seconds
        self._numbers = _HubNumbers()
        self.registry.register(self._numbers)
        self.received = self._numbers.received
        self.sent = self._numbers.sent
        ready = Gauge(
            "penstock_hub_ready", "1 while the store is open and nothing is draining.", registry=self.registry
        )
        self.ready = ready
        self.store_up = Gauge(
            "penstock_hub_store_up",
            "1 while the database answers; it is asked several times a second.",
            registry=self.registry,
        )
        self._disks = _Disks()
        self.registry.register(self._disks)
        self._refused = Counter(
            "penstock_hub_access_refused",
            "Requests that were refused by who asks: without a token, with an unknown one, with one that may not do "
            "this, under a name that the hub does not answer for, or by a page of another site.",
            ("reason",),
            registry=self.registry,
        )
        for reason in HUB_REFUSALS:
            self._refused.labels(reason)
        info = Gauge("penstock_build_info", "1 for the running release.", ("release",), registry=self.registry)
        info.labels(__version__).set(1)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        at = (endpoint, f"{status // 100}xx")
        known = self._numbers.requests.get(at)
        if known is None:
            known = self._numbers.requests[at] = Distribution(_SECONDS)
        known.observe(seconds)

    def refuse(self, reason: str) -> None:
        """Counts a request that the gate refused."""
        self._refused.labels(reason).inc()

    def commit(self, writes: int, seconds: float, not_taken: int) -> None:
        """Counts a commit, and its writes that the database did not take. Called in the thread that commits."""
        self._numbers.not_taken.inc(not_taken)
        self._numbers.commit_writes.observe(writes)
        self._numbers.commit_seconds.observe(seconds)

    def watch_disk(self, place: str, path: Path) -> None:
        """Tells from now on how full the disk is that holds `path`; `place` is the label."""
        self._disks.places[place] = path

    def render(self) -> bytes:
        """All metrics in Prometheus' text format. May be called in any thread."""
        return text_of(self.registry)

    def collect(self) -> list[Family]:
        """All metrics as plain values."""
        return families_of(self.registry)

    def families(self) -> list[tuple[str, str, str]]:
        """Name, type and help of every metric of a hub, for the documentation."""
        found = [
            (f.name + ("_total" if f.type == "counter" else ""), f.type, f.documentation)
            for f in self.registry.collect()
        ]
        return sorted(f for f in found if f[0].startswith("penstock_"))
