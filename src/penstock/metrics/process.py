"""Every metric of a process, declared once; those of versions are in `versions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    Summary,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from penstock.error_text import encodable
from penstock.metrics.aggregate import Family
from penstock.metrics.fast_path import FastPathRequests
from penstock.metrics.numbers import Distribution
from penstock.metrics.readers import ReaderMetrics
from penstock.metrics.versions import VersionMetrics, Versions
from penstock.version import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST

WORKERS = "Worker processes by state. Absent without --workers."
RESTARTS = "Worker processes that were restarted."

SWAPS = ("load", "swap", "revert")
LOAD_STAGES = ("fetch", "environment", "trial", "verify", "load", "prove")
TRIAL_OUTCOMES = ("proven", "known", "refused", "lost")

# Why a request is refused by who asks.
ACCESS_REFUSALS = ("no_token", "unknown_token", "role", "models")

# A delay of less than a millisecond is nobody's business.
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Lag(Collector):
    """How late the event loop comes to its timers."""

    def __init__(self) -> None:
        self.seconds = Distribution(_LAG_SECONDS)

    def collect(self) -> Iterator[Metric]:
        text = "Delay of the event loop's timers, measured ten times per second; any request may wait this long."
        family = HistogramMetricFamily("penstock_event_loop_lag_seconds", text)
        family.add_metric((), self.seconds.cumulative(), self.seconds.total)
        yield family


class _Plain(Collector):
    """Plain values for prometheus_client to write."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.text, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric


def render(families: Iterable[Family]) -> bytes:
    """Metrics given as plain values, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Plain(families))
    return text_of(registry)


class _Shown:
    """The same metrics, without when each counter began: Prometheus knows that from the process, and asks for none."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _Encodable:
    """The same metrics, with the half characters in their labels as escapes."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics:
            samples, metric.samples = metric.samples, []
            for sample in samples:
                labels = {name: encodable(value) for name, value in sample.labels.items()}
                metric.samples.append(sample._replace(labels=labels))
            yield metric


def text_of(registry: CollectorRegistry) -> bytes:
    """Prometheus' text format. One name of a model that is no text must not cost the numbers of all others."""
    shown = _Shown(registry)
    try:
        return generate_latest(shown)
    except UnicodeEncodeError:
        return generate_latest(_Encodable(shown.collect()))


def families_of(registry: CollectorRegistry) -> list[Family]:
    """All metrics as plain values."""
    return [
        Family(m.name, m.type, m.documentation, [(s.name, tuple(s.labels.items()), s.value) for s in m.samples])
        for m in _Shown(registry).collect()
    ]


class Metrics:
    """All families of one process, in a registry of their own."""

    def __init__(self, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        self._versions = Versions()
        self.registry.register(self._versions)
        lag = Lag()
        self.registry.register(lag)
        self.loop_lag = lag.seconds
        self.fast_path = FastPathRequests()
        self.registry.register(self.fast_path)
        self.readers = ReaderMetrics()
        self.registry.register(self.readers)
        self._declare_loads()
        self._declare_server()
        self._declare_access()

    def _declare_loads(self) -> None:
        # What happens a few times a day has a sum and a count: buckets would be most of a model's series, and empty.
        self.loads = self._counter("loads", "Versions loaded or refused.", "model", "outcome")
        self.load_failures = self._counter(
            "load_failures", "Versions refused, by the code of the error.", "model", "reason"
        )
        self.load_trials = self._counter(
            "load_trials",
            "Versions tried in a process of their own before they are loaded: proven now (proven) or before (known), "
            "refused with an error (refused), or the process ended or hung (lost).",
            "model",
            "outcome",
        )
        self.load_seconds = Summary(
            "penstock_load_seconds",
            "Time to fetch, load and prove a version.",
            ("model",),
            registry=self.registry,
        )
        self.load_stage_seconds = Summary(
            "penstock_load_stage_seconds",
            "Time by step of a load and its outcome. With several workers, each worker counts.",
            ("model", "stage", "outcome"),
            registry=self.registry,
        )
        self.swap_seconds = Summary(
            "penstock_swap_seconds",
            "Time from the registry naming another version until that version answers.",
            ("model",),
            registry=self.registry,
        )
        self.swap_failing = self._gauge(
            "swap_failing",
            "1 while the version that the registry names cannot be served and another version answers.",
            "model",
        )
        self.swaps = self._counter("swaps", "Changes of the version that answers requests.", "model", "kind")
        self.model_info = self._gauge(
            "model_info",
            "1 for each loaded version. `lean` is yes where it predicts without the layers of its library, no where it "
            "might and does not, empty where its flavor has no such way.",
            *("model", "version", "digest", "flavor", "alias", "state", "lean"),
        )

    def _declare_access(self) -> None:
        self.access_refused = self._counter(
            "access_refused",
            "Requests that were refused by who asks: without a token, with an unknown one, or with one that may not do "
            "this.",
            "reason",
        )
        for reason in ACCESS_REFUSALS:
            self.access_refused.labels(reason)
        self.token_reloads = self._counter(
            "token_reloads",
            "Readings of the file of tokens after a change: it applies (applied), or it cannot be used and changes "
            "nothing (refused).",
            "outcome",
        )
        self.tokens_refused = self._gauge(
            "tokens_refused",
            "1 while the file of tokens, as it was read last, cannot be used: the tokens of before still let in, and a "
            "restart would fail.",
        )

    def _declare_server(self) -> None:
        self.registry_success = self._gauge(
            "registry_last_success_timestamp_seconds",
            "When the registry last answered, in seconds since 1970.",
            "model",
        )
        self.registry_stale = self._gauge(
            "registry_stale",
            "1 while the version that answers may not be the one that the registry names: the registry was "
            "unreachable at the start, or polls have failed for 30 s or five poll intervals, whichever is longer.",
            "model",
        )
        self.registry_errors = self._counter("registry_errors", "Polls that the registry did not answer.", "model")
        self.alias_missing = self._gauge(
            "alias_missing",
            "1 while the registry answers and names no version for the model: the alias, the version or the model is "
            "gone. What is loaded goes on answering.",
            "model",
        )
        self.config_reloads = self._counter(
            "config_reloads",
            "Readings of the settings file while the server runs: its models apply (applied), or it cannot be used and "
            "changes nothing (refused).",
            "outcome",
        )
        self.config_refused = self._gauge(
            "config_refused",
            "1 while the settings file, as it was read last, cannot be used: older settings are in effect, and a "
            "restart would fail.",
        )
        self.open_requests = self._gauge("open_requests", "Requests from their headers to their answer, of all models.")
        self.open_limit = self._gauge(
            "open_limit_requests", "Requests that may be open at once: the setting max_inflight."
        )
        self.body_bytes = self._gauge("body_bytes", "Bytes of request bodies held in memory.")
        self.body_limit = self._gauge(
            "body_limit_bytes", "Bytes of request bodies that may be held: the setting max_inflight_bytes."
        )
        self.ready = self._gauge("ready", "1 while every model named at start is loaded and nothing is draining.")
        self.workers = self._gauge("workers", WORKERS, "state")
        self.worker_restarts = self._counter("worker_restarts", RESTARTS, "worker")
        self.log_dropped = self._counter(
            "access_log_dropped", "Access log lines that were dropped because stderr was too slow."
        )
        self._gauge("build_info", "1 for the running release.", "release").labels(__version__).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"penstock_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"penstock_{name}", text, labels, registry=self.registry)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format. May be called in any thread: numbers that move meanwhile are shown as
        they are when their turn comes."""
        return text_of(self.registry)

    def collect(self) -> list[Family]:
        """All metrics as plain values."""
        return families_of(self.registry)

    def version(self, model: str, version: str) -> VersionMetrics:
        """The numbers of one version; those it has already, if it is loaded again."""
        return self._versions.known.setdefault((model, version), VersionMetrics())

    def forget_version(self, model: str, version: str) -> None:
        """Drops every series of a version that is closed."""
        self._versions.known.pop((model, version), None)
        self.model_info.remove_by_labels({"model": model, "version": version})

    def forget_model(self, model: str) -> None:
        """Drops what is counted of a model as a whole: it is served no more."""
        for metric in (
            self.loads,
            self.load_failures,
            self.load_seconds,
            self.load_stage_seconds,
            self.load_trials,
            self.swaps,
            self.swap_seconds,
            self.swap_failing,
            self.registry_success,
            self.registry_errors,
            self.registry_stale,
            self.alias_missing,
        ):
            metric.remove_by_labels({"model": model})

    def describe_version(
        self, model: str, version: str, *, digest: str, flavor: str, alias: str, state: str, lean: bool | None = None
    ) -> None:
        """Sets the info series of a version to its state now: current, previous or pinned; empty takes it away."""
        self.model_info.remove_by_labels({"model": model, "version": version})
        if state:
            shown = "" if lean is None else "yes" if lean else "no"
            self.model_info.labels(model, version, digest, flavor, alias, state, shown).set(1)

    def expect_model(self, model: str) -> None:
        """Lets what may go wrong with a model be seen from the start: a counter that begins at 1 never rose."""
        for outcome in ("ok", "failed"):
            self.loads.labels(model, outcome)
        for kind in SWAPS:
            self.swaps.labels(model, kind)
        self.registry_errors.labels(model)
        self.swap_failing.labels(model)
        self.swap_seconds.labels(model)

    def load_stages(self, model: str) -> Callable[[str], AbstractContextManager[None]]:
        """Times the steps of a model's loads, by their names; may be used in any thread."""

        @contextmanager
        def timed(stage: str) -> Iterator[None]:
            began = perf_counter()
            outcome = "failed"
            try:
                yield
                outcome = "ok"
            finally:
                self.load_stage_seconds.labels(model, stage, outcome).observe(perf_counter() - began)

        return timed

    @contextmanager
    def loading(self, model: str, reason: Callable[[BaseException], str]) -> Iterator[None]:
        """Times a load and counts how it went; `reason` gives the code of an error."""
        with self.load_seconds.labels(model).time():
            try:
                yield
            except BaseException as error:
                self.loads.labels(model, "failed").inc()
                self.load_failures.labels(model, reason(error)).inc()
                raise
        self.loads.labels(model, "ok").inc()

    def families(self) -> list[tuple[str, str, str]]:
        """Name, type and help of every metric of Penstock's own, for the documentation."""
        found = [
            (f.name + ("_total" if f.type == "counter" else ""), f.type, f.documentation)
            for f in self.registry.collect()
        ]
        return sorted(f for f in found if f[0].startswith("penstock_"))
