"""What the fast path takes, what it declines, and with which care it answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import PenstockError, PredictError
from penstock.server.connection.fast_path import MAX_FAST_BYTES, FastCycle
from penstock.serving.servable import Lease, State
from penstock.wire.interface import ReadElsewhere
from penstock.wire.mlflow.codec import MlflowCodec
from server import fast_path_bench
from server.asgi import Bench
from server.fast_path_bench import BODY, Model, answered, fast_path
from serving.fakes import settle, until
from support.wire import connect, request

bench = fast_path_bench.bench  # the fixture
model = fast_path_bench.model  # the fixture


async def test_a_small_request_is_taken(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY, "content-type: application/json"))
    assert isinstance(protocol.cycle, FastCycle)
    ((status, headers, body),) = await answered(wire)
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body) == {"predictions": [[1.0, 2.0, 3.0]]}
    assert headers["x-model-version"] == "1"
    assert bench.count("ok") == 1
    assert fast_path(bench) == {("taken", ""): 1}
    assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"
    assert bench.gateway.find("m").concurrency_limit.inside == 0


async def test_answers_come_in_the_order_of_the_requests(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    bodies = [json.dumps({"inputs": [[n, n, n]]}).encode() for n in range(5)]
    protocol.data_received(b"".join(map(request, bodies)))
    got = [json.loads(body)["predictions"][0][0] for _, _, body in await answered(wire, 5)]
    assert got == [0, 1, 2, 3, 4]


async def test_a_body_that_takes_its_time_takes_the_slow_path(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    whole = request(BODY)
    protocol.data_received(whole[:-4])
    assert protocol._pending is not None
    await until(lambda: protocol._pending is None)
    assert not isinstance(protocol.cycle, FastCycle)
    assert fast_path(bench) == {("declined", "slow_body"): 1}
    protocol.data_received(whole[-4:])
    ((status, _, _),) = await answered(wire)
    assert status == "HTTP/1.1 200 OK"


async def test_a_body_in_a_packet_of_its_own_is_taken(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    whole = request(BODY)
    protocol.data_received(whole[: -len(BODY)])
    await settle()
    protocol.data_received(whole[-len(BODY) :])
    assert isinstance(protocol.cycle, FastCycle)
    assert (await answered(wire))[0][0] == "HTTP/1.1 200 OK"


async def test_a_client_that_leaves_takes_the_job_along(bench: Bench, model: Model) -> None:
    model.free.clear()
    first, _ = connect(bench.app)
    first.data_received(request(BODY))
    await until(lambda: model.calls)
    second, wire = connect(bench.app)
    second.data_received(request(BODY))
    await settle()
    assert bench.gateway.find("m")._batcher._lanes.rows == 1
    second.connection_lost(None)
    assert bench.gateway.find("m")._batcher._lanes.rows == 0
    await settle()
    assert not wire.written
    assert bench.count("client_error") == 1
    model.free.set()
    await until(lambda: bench.gateway.find("m").concurrency_limit.inside == 0)
    assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"


@pytest.mark.parametrize("seconds", ["0.01", "0.2"])
async def test_a_deadline_that_passes_is_answered_in_time(bench: Bench, model: Model, seconds: str) -> None:
    model.free.clear()
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY, f"x-request-timeout: {seconds}"))
    ((status, _, body),) = await answered(wire)
    assert status == "HTTP/1.1 504 Gateway Timeout"
    assert json.loads(body)["error_code"] == "DEADLINE_EXCEEDED"
    assert bench.count("timeout") == 1
    model.free.set()
    protocol.data_received(request(BODY))  # the connection lives on
    assert (await answered(wire, 2))[1][0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("error", "status"),
    [(PredictError("bad rows"), "HTTP/1.1 400 Bad Request"), (ZeroDivisionError(), "HTTP/1.1 400 Bad Request")],
)
async def test_a_model_that_fails_is_answered_and_counted(
    bench: Bench, model: Model, error: Exception, status: str
) -> None:
    model.fails = error
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY))
    ((got, headers, _),) = await answered(wire)
    assert got == status
    assert headers["x-model-version"] == "1"
    assert bench.count("model_error") == 1


async def test_a_connection_that_shuts_down_answers_first(bench: Bench, model: Model) -> None:
    model.free.clear()
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY))
    protocol.shutdown()
    assert not wire.closed
    model.free.set()
    ((status, headers, _),) = await answered(wire)
    assert status == "HTTP/1.1 200 OK"
    assert headers["connection"] == "close"
    assert wire.closed


async def test_draining_takes_the_slow_path(bench: Bench, model: Model) -> None:
    bench.gateway.drain()
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY))
    ((status, headers, _),) = await answered(wire)
    assert (status, headers["connection"]) == ("HTTP/1.1 200 OK", "close")


async def test_what_is_given_up_frees_its_place(bench: Bench, model: Model) -> None:
    model.free.clear()
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY))
    protocol.abandon()
    await settle()
    assert bench.gateway.find("m").concurrency_limit.inside == 0
    assert not wire.written
    model.free.set()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (request(b" " * (MAX_FAST_BYTES + 1)), "size"),
        (request(b""), "size"),
        (request(BODY, "content-encoding: identity"), "headers"),
        (request(BODY, path="/models/%6d/invocations"), "path"),
        (request(BODY, path="/models/n/invocations"), "model"),
        (request(BODY, path="/models/loading/invocations"), "model"),
        (request(b"{", path="/models/m/invocations"), "input"),
        (request(BODY, "content-type: image/png"), "input"),
        (request(BODY, "x-request-timeout: soon"), "input"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:60]),
)
async def test_a_request_that_is_declined_is_counted_by_its_reason(bench: Bench, sent: bytes, reason: str) -> None:
    bench.serve("m")
    bench.expect("loading")
    bench.open()
    protocol, wire = connect(bench.app)
    protocol.data_received(sent)
    await answered(wire)
    assert fast_path(bench) == {("declined", reason): 1}


async def test_a_request_without_the_token_is_declined(identity_onnx_package: Path) -> None:
    bench = Bench(identity_onnx_package, token="x")
    bench.serve("m")
    bench.open()
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY))
    assert (await answered(wire))[0][0] == "HTTP/1.1 401 Unauthorized"
    assert fast_path(bench) == {("declined", "token"): 1}
    await bench.close()


async def test_states_of_the_server_are_reasons_to_decline_too(
    bench: Bench, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def once() -> str:
        protocol, wire = connect(bench.app)
        protocol.data_received(request(BODY))
        return str((await answered(wire))[0][0])

    servable = bench.gateway.find("m")
    servable.state = State.DRAINING
    assert await once() == "HTTP/1.1 503 Service Unavailable"
    servable.state = State.READY
    read, raised = MlflowCodec.read, [PenstockError("Of no other kind."), ReadElsewhere()]

    def reading(codec: MlflowCodec, media: str, body: bytes) -> Any:
        if raised:
            raise raised.pop()
        return read(codec, media, body)

    monkeypatch.setattr(MlflowCodec, "read", reading)
    assert await once() == "HTTP/1.1 500 Internal Server Error"
    assert not raised, "the fast path left it to a reader, and the slow path met the error"
    raised += [PenstockError("Of no other kind.")]
    assert await once() == "HTTP/1.1 200 OK"
    servable.concurrency_limit.limit = 0
    assert await once() == "HTTP/1.1 429 Too Many Requests"
    servable.concurrency_limit.limit = float("inf")
    bench.gateway.drain()
    assert await once() == "HTTP/1.1 200 OK"
    reasons = ("closing", "reader", "other", "overloaded", "draining")
    assert fast_path(bench) == {("declined", reason): 1 for reason in reasons}


@pytest.mark.parametrize("path", ["/nothing", "/ping", "/models/%6d"])
async def test_a_request_that_is_no_prediction_is_not_counted(bench: Bench, model: Model, path: str) -> None:
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY, path=path))
    await answered(wire)
    assert fast_path(bench) == {}


async def test_a_refusal_after_the_rows_are_known_alerts_the_load_shedder(bench: Bench, model: Model) -> None:
    bench.serve("m", model, version="2", max_queue_rows=2)
    model.free.clear()
    wires = []
    for rows in (1, 1, 2):
        protocol, wire = connect(bench.app)
        protocol.data_received(request(json.dumps({"inputs": [[1, 2, 3]] * rows}).encode()))
        wires.append(wire)
        await settle()
    ((status, headers, _),) = await answered(wires[2])
    assert status == "HTTP/1.1 429 Too Many Requests"
    assert int(headers["retry-after"]) >= 1
    assert bench.count("rejected", version="2") == 1
    shedder = bench.app.shortcuts.load_shedder
    assert shedder
    assert shedder.alerted, "the next ones are refused from their heads"
    model.free.set()
    for wire in wires[:2]:
        assert (await answered(wire))[0][0] == "HTTP/1.1 200 OK"


async def test_a_connection_is_answered_though_our_books_are_wrong(
    bench: Bench, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    with monkeypatch.context() as patched:
        patched.setattr(Lease, "__exit__", lambda *_: 1 / 0)
        protocol, wire = connect(bench.app)
        protocol.data_received(request(BODY))
        assert (await answered(wire))[0][0] == "HTTP/1.1 200 OK"
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    Lease(bench.gateway.find("m")).__exit__(None, None, None)  # what was left undone
