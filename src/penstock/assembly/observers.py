"""The observers of requests (access log, tracing) that the settings ask for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.http.events.request_event import OnRequest, all_of
from penstock.metrics import Metrics

_OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"


def why_untraced(settings: Settings, origin: str) -> str:
    """Why nothing can be traced although somebody asks for it; empty where all is well. A collector that Penstock's own
    setting names must be reachable by what is installed; a variable that is set for every process of a cluster must not
    keep this one down. Raises ConfigError."""
    endpoint = settings.otlp_endpoint
    if not endpoint:
        return ""
    from penstock.http.events.tracing import tracing_installed

    fault, hint = "", ""
    if not endpoint.lower().startswith(("http://", "https://")):
        fault = f"{endpoint!r} is not an http:// or https:// address"
        hint = "Give a collector's address, for example http://collector:4318."
    elif not tracing_installed():
        fault, hint = "OpenTelemetry is not installed", "pip install 'penstock[tracing]'"
    if not fault:
        return ""
    if origin != _OTLP:
        raise ConfigError(f"Requests cannot be traced to {endpoint} ({origin}): {fault}.", hint=hint)
    return f"{_OTLP} is set, but {fault}; tracing is off. {hint}"


@contextmanager
def observers_of(settings: Settings, metrics: Metrics, worker: int | None = None) -> Iterator[OnRequest | None]:
    """Whom the server tells of every request, None where there is nobody; closed at the end."""
    with ExitStack() as open_ones:
        observers: list[OnRequest] = []
        if settings.access_log:
            from penstock.http.events.access_log import AccessLog

            log = AccessLog(
                write_to_stderr, sample=settings.access_log_sample, worker=worker, dropped=metrics.log_dropped.inc
            )
            open_ones.callback(log.close)
            observers.append(log)
        if settings.otlp_endpoint:
            from penstock.http.events.tracing import Tracing

            tracing = Tracing(settings.otlp_endpoint, sample=settings.trace_sample)
            open_ones.callback(tracing.close)
            observers.append(tracing)
        yield all_of(observers)


def write_to_stderr(lines: bytes) -> None:
    """Whole lines at once: other threads log there too."""
    sys.stderr.buffer.write(lines)
    sys.stderr.buffer.flush()
