"""The access log: what a line says, that it is sampled, and that nobody waits for its writer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.http.events.access_log import AccessLog
from penstock.http.events.request_event import RequestEvent, all_of, trace_id_of
from penstock.metrics import Metrics
from penstock.payload import Payload, Tensors
from server.asgi import Bench, Exchange
from server.test_load_shedder import Talk
from serving.fakes import FakePredictor

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Lines:
    """Where a log writes to. While held, writing blocks, as it does on a pipe that nobody reads."""

    def __init__(self) -> None:
        self.text = b""
        self.dropped = 0
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def write(self, lines: bytes) -> None:
        self.entered.set()
        self.free.wait()
        self.text += lines

    def drop(self) -> None:
        self.dropped += 1

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def answered(id: str = "a", **given: Any) -> RequestEvent:
    values = {
        "request_id": id, "model": "m", "version": "1", "protocol": "invocations", "status": 200, "outcome": "ok",
        "rows": 2, "ended": 1.5, "seconds": 0.5, "decode": 0.1, "queue": 0.1, "predict": 0.1, "encode": 0.1,
        "received": 10, "sent": 20, "client": "10.0.0.1:99", "trace": "", "trace_state": "",
    }  # fmt: skip
    return RequestEvent(**{**values, **given})


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    seen.clear()
    one = Bench(identity_onnx_package, observe=seen.append)
    yield one
    await one.close()


seen: list[RequestEvent] = []


async def test_what_is_told_of_a_request(bench: Bench) -> None:
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


async def test_what_is_told_of_failures(bench: Bench) -> None:
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


async def test_a_client_that_left_is_told_too(bench: Bench) -> None:
    bench.serve()
    bench.open()
    exchange = Exchange(bench.app)
    exchange.leave()
    assert await exchange.status() is None
    assert [(t.status, t.outcome) for t in seen] == [(499, "client_error")]


async def test_so_is_a_refusal_from_the_head_alone(identity_onnx_package: Path) -> None:
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


def test_a_line() -> None:
    lines = Lines()
    log = AccessLog(lines.write, worker=3)
    log(answered(trace=TRACE))
    log(answered("b", rows=None))
    log.close()
    assert lines.events[0] == {
        "time": "1970-01-01T00:00:01.500+00:00", "level": "info", "logger": "penstock.access", "worker": 3,
        "request_id": "a", "model": "m", "version": "1", "protocol": "invocations", "status": 200, "outcome": "ok",
        "rows": 2, "seconds": 0.5, "decode_seconds": 0.1, "queue_seconds": 0.1, "predict_seconds": 0.1,
        "encode_seconds": 0.1, "received_bytes": 10, "sent_bytes": 20, "client": "10.0.0.1:99",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }  # fmt: skip
    assert lines.events[1]["rows"] is None
    assert "trace_id" not in lines.events[1]


def test_a_share_of_all() -> None:
    lines = Lines()
    chances = iter([0.0, 0.009, 0.01, 0.5, 0.999])
    log = AccessLog(lines.write, sample=0.01, chance=lambda: next(chances))
    for number in range(5):
        log(answered(str(number)))
    log.close()
    assert [event["request_id"] for event in lines.events] == ["0", "1"]


def test_nobody_waits_for_a_writer_that_hangs() -> None:
    lines = Lines()
    lines.free.clear()
    log = AccessLog(lines.write, dropped=lines.drop, room=10)
    log(answered("first"))
    assert lines.entered.wait(10)
    for number in range(25):
        log(answered(str(number)))
    assert lines.dropped == 15
    assert "10 lines wait" in repr(log)
    lines.free.set()
    log.close()
    assert [e["request_id"] for e in lines.events] == ["first", *map(str, range(10))]


def test_a_reader_that_is_gone_ends_nothing() -> None:
    metrics = Metrics(process=False)

    def write(lines: bytes) -> None:
        raise BrokenPipeError

    log = AccessLog(write, dropped=metrics.log_dropped.inc)
    log(answered())
    log.close()
    assert metrics.registry.get_sample_value("penstock_access_log_dropped_total") == 1


def test_who_is_told() -> None:
    told: list[str] = []
    assert all_of([]) is None
    alone = all_of([lambda a: told.append("one")])
    both = all_of([lambda a: told.append("one"), lambda a: told.append("other")])
    assert alone is not None
    assert both is not None
    alone(answered())
    both(answered())
    assert told == ["one", "one", "other"]


@pytest.mark.parametrize("trace", ["", "x", "00-abc-def-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", "00-" + "G" * 32])
def test_what_is_no_trace(trace: str) -> None:
    assert trace_id_of(trace) == ""


def test_off_means_not_even_imported() -> None:
    code = (
        "import sys, penstock.assembly.workers, penstock.cli.serve\n"
        "off = ('opentelemetry', 'penstock.http.events.access_log', 'penstock.http.events.tracing')\n"
        "sys.exit(' '.join(name for name in sys.modules if name.startswith(off)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
