"""Traces as a collector sees them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.http.events.tracing import RateLimitedLog, Tracing
from support.request_events import TRACE, answered
from support.trace_collector import Collector, Span


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


def test_a_callers_trace_is_continued(collector: Collector) -> None:
    server = next(s for s in spans_of(collector, answered(trace=TRACE)) if s.parent == PARENT_ID)
    assert server.name == "POST invocations"
    assert {s.trace for s in collector.spans} == {TRACE_ID}


def test_a_caller_decides_for_its_own_trace_and_the_share_for_others(collector: Collector) -> None:
    unsampled = TRACE[:-1] + "0"
    spans = spans_of(collector, answered(trace=TRACE), answered(trace=unsampled), answered(), sample=0.0)
    assert {s.trace for s in spans} == {TRACE_ID}
    assert sum(s.name == "POST invocations" for s in spans) == 1


def test_a_sample_is_a_share_of_all_requests(collector: Collector) -> None:
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


def test_a_collector_that_is_away_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    tracing = Tracing(nowhere)
    for _ in range(3):
        tracing(answered())
    tracing.close()
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.startswith(f"Traces do not reach {nowhere}/v1/traces: ")


@pytest.mark.parametrize(("outcome", "failed"), [("model_error", True), ("timeout", True), ("client_error", False)])
def test_only_faults_of_the_server_fail_a_span(collector: Collector, outcome: str, failed: bool) -> None:
    nothing: dict[str, Any] = {"decode": 0.0, "queue": 0.0, "predict": 0.0, "encode": 0.0}
    (span,) = spans_of(collector, answered(outcome=outcome, rows=None, **nothing))
    assert span.failed is failed
    assert "penstock.rows" not in span.attributes


def test_opentelemetrys_own_variable_names_the_service(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "fraud")
    assert spans_of(collector, answered())[0].resource["service.name"] == "fraud"
