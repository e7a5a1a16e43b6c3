"""Traces as a collector sees them, and the settings that ask for them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.assembly import observers as observing
from penstock.assembly.observers import why_untraced
from penstock.config import Settings, load_settings
from penstock.errors import ConfigError
from penstock.http.events import tracing as tracing_file
from penstock.http.events.tracing import RateLimitedLog, Tracing
from server.collector import Collector, Span
from server.test_access_log import TRACE, answered


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


TRACE_ID, PARENT_ID = TRACE.split("-")[1:3]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector().running() as one:
        yield one


def spans_of(collector: Collector, *requests: Any, sample: float = 1.0) -> list[Span]:
    tracing = Tracing(collector.url, sample=sample)
    for request in requests:
        tracing(request)
    tracing.close()
    return collector.spans


def test_a_server_span_with_one_for_each_stage(collector: Collector) -> None:
    request = answered("mine", ended=1_000.0, seconds=0.5, decode=0.1, queue=0.05, predict=0.2, encode=0.02)
    spans = {span.name: span for span in spans_of(collector, request)}
    assert collector.paths == {"/v1/traces"}
    assert spans.keys() == {"POST invocations", "decode", "queue", "predict", "encode"}
    server = spans["POST invocations"]
    assert server.parent == ""
    assert server.ended - server.began == 500_000_000
    assert server.ended == 1_000_000_000_000
    assert server.attributes == {
        "http.request.method": "POST", "http.response.status_code": 200, "http.request.body.size": 10,
        "http.response.body.size": 20, "client.address": "10.0.0.1:99", "penstock.request_id": "mine",
        "penstock.model": "m", "penstock.version": "1", "penstock.protocol": "invocations", "penstock.outcome": "ok",
        "penstock.rows": 2,
    }  # fmt: skip
    assert server.resource["service.name"] == "penstock"
    stages = [spans[name] for name in ("decode", "queue", "predict", "encode")]
    assert {(s.parent, s.trace) for s in stages} == {(server.id, server.trace)}
    assert [s.ended - s.began for s in stages] == [100_000_000, 50_000_000, 200_000_000, 20_000_000]
    assert [s.began for s in stages[1:]] == [s.ended for s in stages[:-1]]
    assert stages[-1].ended == server.ended
    assert stages[0].began > server.began


def test_it_goes_on_where_the_caller_began(collector: Collector) -> None:
    server = next(s for s in spans_of(collector, answered(trace=TRACE)) if s.parent == PARENT_ID)
    assert server.name == "POST invocations"
    assert {s.trace for s in collector.spans} == {TRACE_ID}


def test_the_caller_decides_and_else_the_share(collector: Collector) -> None:
    unsampled = TRACE[:-1] + "0"
    spans = spans_of(collector, answered(trace=TRACE), answered(trace=unsampled), answered(), sample=0.0)
    assert {s.trace for s in spans} == {TRACE_ID}
    assert sum(s.name == "POST invocations" for s in spans) == 1


def test_a_share_of_all(collector: Collector) -> None:
    chances = iter([0.1, 0.2, 0.3])
    tracing = Tracing(collector.url, sample=0.2, chance=lambda: next(chances))
    for number in range(3):
        tracing(answered(str(number)))
    tracing.close()
    assert {s.attributes.get("penstock.request_id") for s in collector.spans} - {None} == {"0"}


def test_a_collector_that_is_away_is_complained_about_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = logging.getLogger("exporter")
    log.addFilter(RateLimitedLog("http://away", lambda: now))
    for level, at in ((logging.WARNING, 0.0), (logging.ERROR, 1.0), (logging.ERROR, 60.0), (logging.ERROR, 61.0)):
        now = at
        log.log(level, "Failed: %s", at)
    assert [r.getMessage() for r in caplog.records] == [
        "Traces do not reach http://away: Failed: 1.0", "Traces do not reach http://away: Failed: 61.0",
    ]  # fmt: skip


def test_a_collector_that_is_away_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    tracing = Tracing(nowhere)
    for _ in range(3):
        tracing(answered())
    tracing.close()
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.startswith(f"Traces do not reach {nowhere}/v1/traces: ")


@pytest.mark.parametrize(("outcome", "failed"), [("model_error", True), ("timeout", True), ("client_error", False)])
def test_whose_fault(collector: Collector, outcome: str, failed: bool) -> None:
    nothing = {"decode": 0.0, "queue": 0.0, "predict": 0.0, "encode": 0.0}
    (span,) = spans_of(collector, answered(outcome=outcome, rows=None, **nothing))
    assert span.failed is failed
    assert "penstock.rows" not in span.attributes


def test_the_names_that_opentelemetry_has_win(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "fraud")
    assert spans_of(collector, answered())[0].resource["service.name"] == "fraud"


def test_opentelemetrys_variable_is_read() -> None:
    settings, origins = load_settings({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"})
    assert settings.otlp_endpoint == "http://c:4318"
    assert origins["otlp_endpoint"] == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert why_untraced(settings, origins["otlp_endpoint"]) == why_untraced(Settings(), "default") == ""


def test_what_is_asked_for_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_file, "find_spec", lambda name: None)
    settings = Settings(otlp_endpoint="http://c:4318")
    with pytest.raises(ConfigError, match=r"--otlp-endpoint.*not installed") as caught:
        why_untraced(settings, "--otlp-endpoint")
    assert "penstock[tracing]" in caught.value.hint
    assert "nothing is traced" in why_untraced(settings, observing._OTLP)


def test_an_address_that_is_none() -> None:
    with pytest.raises(ConfigError, match="no http:// or https:// address"):
        why_untraced(Settings(otlp_endpoint="collector:4317"), "variable")
