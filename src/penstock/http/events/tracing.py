"""OpenTelemetry traces over OTLP: a server span for each request, with one for each of its stages inside.

Spans are made after the answer, from the times that were measured anyway, so that nothing is carried through the
request. Where a stage began is reckoned back from the end; what is left at the beginning is the reading of the body.
The only file that imports OpenTelemetry, and only where an endpoint is named.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.http.events.request_event import RequestEvent
from penstock.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

# How long an attempt to deliver may take, and all that is left at the end.
_EXPORT_SECONDS = 5
_LAST_SECONDS = 3


# Seconds between two log lines about a collector that is unreachable.
_LOGGED_EVERY = 60.0


class RateLimitedLog(logging.Filter):
    """Passes one of the exporter's errors a minute, with the address that it is about, and none of its warnings, which
    are about attempts that are repeated."""

    def __init__(self, endpoint: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._clock = clock
        self._next = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR or self._clock() < self._next:
            return False
        self._next = self._clock() + _LOGGED_EVERY
        record.msg, record.args = f"Traces do not reach {self._endpoint}: {record.getMessage()}", ()
        return True


def tracing_installed() -> bool:
    """Whether the extra `tracing` is there."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


class Tracing:
    """Sends spans to `endpoint`, the address of a collector, to which OTLP's /v1/traces is added.

    A request that carries a `traceparent` is sampled as that says, another one with probability `sample`, which is
    decided here: asking OpenTelemetry's sampler costs a hundred times as much.
    """

    def __init__(self, endpoint: str, *, sample: float = 1.0, chance: Callable[[], float] = random.random) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._sample = sample
        self._chance = chance
        self._server, self._internal = SpanKind.SERVER, SpanKind.INTERNAL
        self._failed = Status(StatusCode.ERROR)
        self._inside = set_span_in_context
        self._propagator = TraceContextTextMapPropagator()
        resource = Resource.create({"service.version": __version__})  # with OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "penstock"}))
        self._provider: TracerProvider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON), resource=resource, shutdown_on_exit=False
        )
        url = endpoint.rstrip("/") + "/v1/traces"
        exporter = OTLPSpanExporter(endpoint=url, timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._exporter_log = logging.getLogger(OTLPSpanExporter.__module__)
        self._rate_limit = RateLimitedLog(url)
        self._exporter_log.addFilter(self._rate_limit)
        self._tracer = self._provider.get_tracer("penstock", __version__)

    def __call__(self, answered: RequestEvent) -> None:
        """Makes the spans of a request, if it is sampled."""
        a = answered
        if not a.trace and self._sample < 1 and self._chance() >= self._sample:
            return
        parent = self._propagator.extract({"traceparent": a.trace, "tracestate": a.trace_state} if a.trace else {})
        ended = int(a.ended * 1e9)
        span = self._tracer.start_span(
            f"POST {a.protocol}", parent, self._server, start_time=ended - int(a.seconds * 1e9)
        )
        if span.is_recording():
            span.set_attributes(
                {
                    "http.request.method": "POST",
                    "http.response.status_code": a.status,
                    "http.request.body.size": a.received,
                    "http.response.body.size": a.sent,
                    "client.address": a.client,
                    "penstock.request_id": a.request_id,
                    "penstock.model": a.model,
                    "penstock.version": a.version,
                    "penstock.protocol": a.protocol,
                    "penstock.outcome": a.outcome,
                }
            )
            if a.rows is not None:
                span.set_attribute("penstock.rows", a.rows)
            if a.outcome in ("model_error", "timeout", "internal"):
                span.set_status(self._failed)
            inside = self._inside(span)
            until = ended
            for stage, seconds in (
                ("encode", a.encode),
                ("predict", a.predict),
                ("queue", a.queue),
                ("decode", a.decode),
            ):
                if seconds:
                    began = until - int(seconds * 1e9)
                    self._tracer.start_span(stage, inside, self._internal, start_time=began).end(until)
                    until = began
        span.end(ended)

    def close(self) -> None:
        """Delivers what is left, and waits at most three seconds for it."""
        self._provider.force_flush(_LAST_SECONDS * 1000)
        self._provider.shutdown()
        self._exporter_log.removeFilter(self._rate_limit)
