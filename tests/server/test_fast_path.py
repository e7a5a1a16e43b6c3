"""The short cut from the protocol to the model: the same answers as by the usual way, and the same care."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import PredictError
from penstock.payload import Payload
from penstock.server.connection.fast_path import MAX_FAST_BYTES, FastCycle
from server.asgi import Bench
from serving.fakes import FakePredictor, settle, until
from support.wire import answers, connect, request

BODY = json.dumps({"inputs": [[1, 2, 3]]}).encode()


class Model(FakePredictor):
    """Gives rows back; waits while held; fails where asked to."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.calls = 0
        self.free = Event()
        self.free.set()
        self.fails: Exception | None = None

    def _answer(self, payload: Payload, params: Any) -> Payload:
        self.calls += 1
        assert self.free.wait(20)
        if self.fails is not None:
            raise self.fails
        return payload


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    made = Bench(identity_onnx_package, max_body_bytes=2 * MAX_FAST_BYTES)
    yield made
    await made.close()


@pytest.fixture
def model(bench: Bench) -> Model:
    made = Model()
    bench.serve("m", made)
    bench.open()
    return made


class Usual:
    """The same application without the short cut."""

    def __init__(self, app: Any) -> None:
        self.__call__ = app.__call__
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


async def answered(wire: Any, count: int = 1) -> list[Any]:
    await until(lambda: wire.closed or len(answers(wire.written)) >= count)
    return answers(wire.written)


async def test_it_is_taken(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY, "content-type: application/json"))
    assert isinstance(protocol.cycle, FastCycle)
    ((status, headers, body),) = await answered(wire)
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body) == {"predictions": [[1.0, 2.0, 3.0]]}
    assert headers["x-model-version"] == "1"
    assert bench.count("ok") == 1
    assert repr(bench.gateway.intake) == "<InflightLimits 0 requests, 0 bytes>"
    assert bench.gateway.find("m").crowd.inside == 0


HEADERS = [
    "content-type: application/json", "content-type: text/csv", "content-type: text/plain",
    "content-type: application/json; charset=utf-8", "accept: */*", "accept: text/csv", "accept: image/png",
    "x-request-id: mine-1", "x-request-timeout: 5", "x-request-timeout: soon", "content-encoding: gzip",
    "content-encoding: identity", "expect: 100-continue", "connection: close", "connection: keep-alive",
    "authorization: Bearer x", "authorization: Bearer y", "traceparent: 00-1-1-00", "upgrade: websocket",
]  # fmt: skip
BODIES = [
    BODY, b"", b"{", b"[]", b"1,2,3\n4,5,6\n", b'{"inputs": [[1, 2]]}', b'{"inputs": [[1, 2, "x"]]}',
    b'{"inputs": [[1, 2, 3], [4, 5, null]]}', b'{"inputs": [[1, 2, 3]], "params": {"a": 1}}',
    b'{"instances": [[1, 2, 3]]}', b'{"dataframe_split": {"columns": ["a"], "data": [[1]]}}', b"\xff\xfe{",
    json.dumps({"inputs": [[1, 2, 3]] * 3000}).encode(), b" " * (MAX_FAST_BYTES + 1), b" " * (2 * MAX_FAST_BYTES + 1),
]  # fmt: skip
PATHS = [
    "/invocations", "/invocations?x=1", "/models/m/invocations", "/models/m/versions/1/invocations",
    "/models/m/versions/2/invocations", "/models/n/invocations", "/models/%6d/invocations", "/nothing", "/ping",
]  # fmt: skip


async def ask(app: Any, sent: bytes, cuts: list[int]) -> tuple[list[Any], bool]:
    """What comes back on a connection of its own for bytes cut into these pieces, and whether it was closed."""
    protocol, wire = connect(app)
    for cut in cuts:
        if not wire.closed:
            protocol.data_received(sent[:cut])
            sent = sent[cut:]
            await asyncio.sleep(0)
    if sent and not wire.closed:
        protocol.data_received(sent)
    await until(lambda: wire.closed or _idle(protocol))
    protocol.connection_lost(None)
    return [a for a in answers(wire.written) if "100 Continue" not in a[0]], wire.closed


def counts(bench: Bench) -> dict[Any, float]:
    return {key: number.value for key, number in bench.metrics.version("m", "1").outcomes.items()}


class Pair:
    """The same application with and without the short cut."""

    def __init__(self, package: Path, token: str = "") -> None:
        self.benches = [Bench(package, max_body_bytes=2 * MAX_FAST_BYTES, token=token) for _ in range(2)]
        for bench in self.benches:
            bench.serve("m")
            bench.open()
        self.apps = [self.benches[0].app, Usual(self.benches[1].app)]

    async def check(self, sent: bytes, cuts: list[int]) -> None:
        straight, usual = [await ask(app, sent, cuts) for app in self.apps]
        assert straight == usual
        assert counts(self.benches[0]) == counts(self.benches[1])
        for bench in self.benches:
            assert repr(bench.gateway.intake) == "<InflightLimits 0 requests, 0 bytes>"
            assert bench.gateway.find("m").crowd.inside == 0

    async def close(self) -> None:
        for bench in self.benches:
            await bench.close()


@pytest.mark.parametrize("token", ["", "x"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[:16]!r}{len(body)}")
async def test_the_same_answer_as_by_the_usual_way(identity_onnx_package: Path, body: bytes, token: str) -> None:
    pair = Pair(identity_onnx_package, token)
    own = ["authorization: Bearer x"] if token else []
    for header in ["x-nothing: 1", *HEADERS]:
        await pair.check(request(body, header, *([] if header.startswith("auth") else own)), [])
    for path in PATHS:
        for method in ("POST", "GET"):
            await pair.check(request(body, *own, path=path, method=method), [])
    await pair.close()


_REQUEST = st.tuples(
    st.sampled_from([BODY] * 10 + BODIES),
    st.lists(st.sampled_from(HEADERS), max_size=2, unique_by=lambda line: line.partition(":")[0]),
    st.sampled_from([PATHS[0]] * 6 + PATHS),
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(_REQUEST, min_size=1, max_size=4), st.lists(st.integers(1, 300), max_size=5))
def test_however_they_are_cut_and_sent_ahead(identity_onnx_package: Path, asked: list[Any], cuts: list[int]) -> None:
    async def compare() -> None:
        pair = Pair(identity_onnx_package)
        await pair.check(b"".join(request(body, *headers, path=path) for body, headers, path in asked), cuts)
        await pair.close()

    asyncio.run(compare())


def _idle(protocol: Any) -> bool:
    return protocol._pending is None and not protocol.pipeline and (
        protocol.cycle is not None and protocol.cycle.response_complete and protocol.stage == 0
    )  # fmt: skip


async def test_answers_come_in_the_order_of_the_requests(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    bodies = [json.dumps({"inputs": [[n, n, n]]}).encode() for n in range(5)]
    protocol.data_received(b"".join(map(request, bodies)))
    got = [json.loads(body)["predictions"][0][0] for _, _, body in await answered(wire, 5)]
    assert got == [0, 1, 2, 3, 4]


async def test_a_body_that_takes_its_time_goes_the_usual_way(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    whole = request(BODY)
    protocol.data_received(whole[:-4])
    assert protocol._pending is not None
    await until(lambda: protocol._pending is None)
    assert not isinstance(protocol.cycle, FastCycle)
    protocol.data_received(whole[-4:])
    ((status, _, _),) = await answered(wire)
    assert status == "HTTP/1.1 200 OK"


async def test_a_body_in_a_packet_of_its_own_goes_straight(bench: Bench, model: Model) -> None:
    protocol, wire = connect(bench.app)
    whole = request(BODY)
    protocol.data_received(whole[: -len(BODY)])
    await settle()
    protocol.data_received(whole[-len(BODY) :])
    assert isinstance(protocol.cycle, FastCycle)
    assert (await answered(wire))[0][0] == "HTTP/1.1 200 OK"


async def test_one_who_leaves_takes_the_job_along(bench: Bench, model: Model) -> None:
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
    await until(lambda: bench.gateway.find("m").crowd.inside == 0)
    assert repr(bench.gateway.intake) == "<InflightLimits 0 requests, 0 bytes>"


@pytest.mark.parametrize("seconds", ["0.01", "0.2"])
async def test_a_deadline(bench: Bench, model: Model, seconds: str) -> None:
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
async def test_a_model_that_fails(bench: Bench, model: Model, error: Exception, status: str) -> None:
    model.fails = error
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY))
    ((got, headers, _),) = await answered(wire)
    assert got == status
    assert headers["x-model-version"] == "1"
    assert bench.count("model_error") == 1


async def test_closing_down_answers_first(bench: Bench, model: Model) -> None:
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


async def test_draining_goes_the_usual_way(bench: Bench, model: Model) -> None:
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
    assert bench.gateway.find("m").crowd.inside == 0
    assert not wire.written
    model.free.set()
