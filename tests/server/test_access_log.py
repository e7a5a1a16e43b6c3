"""What observers get of the requests that a server answers; and that nothing is imported where there are none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.http.events.request_event import RequestEvent
from penstock.payload import Payload, Tensors
from server.asgi import Bench, Exchange
from server.test_load_shedder import Talk
from serving.fakes import FakePredictor
from support.request_events import TRACE


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    seen.clear()
    one = Bench(identity_onnx_package, observe=seen.append)
    yield one
    await one.close()


seen: list[RequestEvent] = []


async def test_the_event_of_a_request_has_its_ids_rows_bytes_and_times(bench: Bench) -> None:
    bench.serve()
    async with bench.open() as client:
        headers = {"X-Request-Id": "mine", "traceparent": TRACE, "tracestate": "a=b"}
        body = b'{"inputs": [[1, 2, 3], [4, 5, 6]]}'
        answer = await client.post("/invocations", content=body, headers=headers)
    (told,) = seen
    assert (told.request_id, told.model, told.version, told.protocol) == ("mine", "m", "1", "invocations")
    assert (told.status, told.outcome, told.rows) == (200, "ok", 2)
    assert (told.received, told.sent) == (len(body), len(answer.content))
    assert told.client.startswith("127.0.0.1:")
    assert (told.trace, told.trace_state) == (TRACE, "a=b")
    assert min(told.decode, told.predict, told.encode) > 0
    assert told.seconds >= told.decode + told.queue + told.predict + told.encode


async def test_the_event_of_a_failure_has_its_status_and_outcome(bench: Bench) -> None:
    def fail(payload: Payload, params: Any) -> Tensors:
        raise ValueError("no")

    bench.serve(predictor=FakePredictor(fail))
    async with bench.open() as client:
        await client.post("/invocations", content=b"{")
        await client.post("/invocations", content=b'{"inputs": [[1, 2, 3]]}')
        await client.post("/models/other/invocations", content=b'{"inputs": [[1, 2, 3]]}')
    assert [(t.model, t.status, t.outcome, t.rows) for t in seen] == [
        ("m", 400, "client_error", None), ("m", 400, "model_error", 1), ("", 404, "client_error", None),
    ]  # fmt: skip


async def test_a_client_that_left_makes_an_event_with_status_499(bench: Bench) -> None:
    bench.serve()
    bench.open()
    exchange = Exchange(bench.app)
    exchange.leave()
    assert await exchange.status() is None
    assert [(t.status, t.outcome) for t in seen] == [(499, "client_error")]


async def test_a_refusal_from_the_head_alone_makes_an_event_too(identity_onnx_package: Path) -> None:
    told: list[RequestEvent] = []
    talk = Talk(identity_onnx_package, observe=told.append)
    talk.full()
    for _ in range(2):  # the first one is refused the usual way
        talk.send(extra=f"traceparent: {TRACE}\r\nx-request-id: mine\r\n".encode())
        assert (await talk.answer())[0] == 429
    assert talk.count("rejected") == 2
    assert [(t.request_id, t.model, t.status, t.outcome, t.trace) for t in told] == [
        ("mine", "m", 429, "rejected", TRACE)
    ] * 2
    await talk.gateway.close()


def test_access_log_and_tracing_are_not_imported_where_they_are_off() -> None:
    code = (
        "import sys, penstock.assembly.workers, penstock.cli.serve\n"
        "off = ('opentelemetry', 'penstock.http.events.access_log', 'penstock.http.events.tracing')\n"
        "sys.exit(' '.join(name for name in sys.modules if name.startswith(off)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
