"""The fast path from the connection to the model: the same answers as on the slow path, and the same care."""

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

from penstock.errors import PenstockError, PredictError
from penstock.http.events.request_event import RequestEvent
from penstock.payload import Payload
from penstock.server.connection.fast_path import MAX_FAST_BYTES, FastCycle
from penstock.serving.servable import Lease, State
from penstock.wire.interface import LibraryWanted
from penstock.wire.mlflow.codec import MlflowCodec
from server.asgi import Bench, raising
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


class SlowPathOnly:
    """The same application without the fast path."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


async def answered(wire: Any, count: int = 1) -> list[Any]:
    await until(lambda: wire.closed or len(answers(wire.written)) >= count)
    return answers(wire.written)


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
    assert repr(bench.gateway.intake) == "<InflightLimits 0 requests, 0 bytes>"
    assert bench.gateway.find("m").crowd.inside == 0


def fast_path(bench: Bench) -> dict[tuple[str, str], float]:
    """What the metric says of the fast path, without what never happened."""
    (family,) = bench.metrics.fast_path.collect()
    return {(s.labels["outcome"], s.labels["reason"]): s.value for s in family.samples if s.value}


HEADERS = [
    "content-type: application/json",
    "content-type: text/csv",
    "content-type: text/plain",
    "content-type: application/json; charset=utf-8",
    "accept: */*",
    "accept: text/csv",
    "accept: image/png",
    "x-request-id: mine-1",
    "x-request-timeout: 5",
    "x-request-timeout: soon",
    "content-encoding: gzip",
    "content-encoding: identity",
    "expect: 100-continue",
    "connection: close",
    "connection: keep-alive",
    "authorization: Bearer x",
    "authorization: Bearer y",
    "traceparent: 00-1-1-00",
    "upgrade: websocket",
]
BODIES = [
    BODY,
    b"",
    b"{",
    b"[]",
    b"1,2,3\n4,5,6\n",
    b'{"inputs": [[1, 2]]}',
    b'{"inputs": [[1, 2, "x"]]}',
    b'{"inputs": [[1, 2, 3], [4, 5, null]]}',
    b'{"inputs": [[1, 2, 3]], "params": {"a": 1}}',
    b'{"instances": [[1, 2, 3]]}',
    b'{"dataframe_split": {"columns": ["a"], "data": [[1]]}}',
    b"\xff\xfe{",
    json.dumps({"inputs": [[1, 2, 3]] * 3000}).encode(),
    b" " * (MAX_FAST_BYTES + 1),
    b" " * (2 * MAX_FAST_BYTES + 1),
]
PATHS = [
    "/invocations",
    "/invocations?x=1",
    "/models/m/invocations",
    "/models/m/versions/1/invocations",
    "/models/m/versions/2/invocations",
    "/models/n/invocations",
    "/models/%6d/invocations",
    "/nothing",
    "/ping",
]


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
    """The same application with and without the fast path."""

    def __init__(
        self, package: Path, token: str = "", *, predictor: FakePredictor | None = None, observe: Any = None
    ) -> None:
        options = {"max_body_bytes": 2 * MAX_FAST_BYTES, "token": token, "observe": observe}
        self.benches = [Bench(package, **options) for _ in range(2)]
        for bench in self.benches:
            bench.serve("m", predictor)
            bench.open()
        self.apps = [self.benches[0].app, SlowPathOnly(self.benches[1].app)]

    async def check(self, sent: bytes, cuts: list[int]) -> None:
        fast, slow = [await ask(app, sent, cuts) for app in self.apps]
        assert fast == slow
        assert counts(self.benches[0]) == counts(self.benches[1])
        for bench in self.benches:
            assert repr(bench.gateway.intake) == "<InflightLimits 0 requests, 0 bytes>"
            assert bench.gateway.find("m").crowd.inside == 0

    async def close(self) -> None:
        for bench in self.benches:
            await bench.close()


@pytest.mark.parametrize("token", ["", "x"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[:16]!r}{len(body)}")
async def test_both_paths_give_the_same_answer(identity_onnx_package: Path, body: bytes, token: str) -> None:
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
def test_both_paths_agree_however_requests_are_cut_and_sent_ahead(
    identity_onnx_package: Path, asked: list[Any], cuts: list[int]
) -> None:
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
    await until(lambda: bench.gateway.find("m").crowd.inside == 0)
    assert repr(bench.gateway.intake) == "<InflightLimits 0 requests, 0 bytes>"


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
    assert bench.gateway.find("m").crowd.inside == 0
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
    read, raised = MlflowCodec.read, [PenstockError("Of no other kind."), LibraryWanted("json")]

    def reading(codec: MlflowCodec, media: str, body: bytes) -> Any:
        if raised:
            raise raised.pop()
        return read(codec, media, body)

    monkeypatch.setattr(MlflowCodec, "read", reading)
    assert await once() == "HTTP/1.1 500 Internal Server Error"
    assert not raised, "the fast path wanted a library, and the slow path met the error"
    raised += [PenstockError("Of no other kind.")]
    assert await once() == "HTTP/1.1 200 OK"
    servable.crowd.limit = 0
    assert await once() == "HTTP/1.1 429 Too Many Requests"
    servable.crowd.limit = float("inf")
    bench.gateway.drain()
    assert await once() == "HTTP/1.1 200 OK"
    reasons = ("closing", "library", "other", "overloaded", "draining")
    assert fast_path(bench) == {("declined", reason): 1 for reason in reasons}


@pytest.mark.parametrize("path", ["/nothing", "/ping", "/models/%6d"])
async def test_a_request_that_is_no_prediction_is_not_counted(bench: Bench, model: Model, path: str) -> None:
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY, path=path))
    await answered(wire)
    assert fast_path(bench) == {}


@pytest.mark.parametrize("step", ["read", "write"])
async def test_a_bug_ends_as_one_500_in_the_one_shape(
    identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    calls: list[None] = []

    def explode(*_: Any) -> None:
        calls.append(None)
        raise ZeroDivisionError("secret")

    pair = Pair(identity_onnx_package)
    with monkeypatch.context() as patched:
        patched.setattr(MlflowCodec, step, explode)
        await pair.check(request(BODY), [])
        assert len(calls) == 2, "once on each path: nothing is tried again in silence"
        ((status, headers, body),), _ = await ask(pair.apps[0], request(BODY, "x-request-id: mine"), [])
    assert status == "HTTP/1.1 500 Internal Server Error"
    assert headers["x-model-name"] == "m"
    assert "connection" not in headers, "it lives on"
    assert json.loads(body)["error_code"] == "INTERNAL_ERROR"
    assert b"secret" not in body
    assert pair.benches[0].count("internal") == 2
    assert [r.levelname for r in caplog.records if "Request mine" in r.getMessage()] == ["ERROR"]
    await pair.close()


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


class Untellable(Exception):
    """An error that explodes when asked what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize("error", [Untellable(), RecursionError(), MemoryError()], ids=lambda e: type(e).__name__)
async def test_both_paths_agree_on_a_model_that_explodes(identity_onnx_package: Path, error: Exception) -> None:
    pair = Pair(identity_onnx_package, predictor=raising(error))
    await pair.check(request(BODY), [])
    await pair.close()


async def test_an_observer_that_raises_costs_nobody_the_answer(
    identity_onnx_package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def observe(event: RequestEvent) -> None:
        seen.append(event.status)
        raise RuntimeError("observer")

    pair = Pair(identity_onnx_package, observe=observe)
    await pair.check(request(BODY), [])
    await pair.check(request(b"{"), [])
    assert seen == [200, 200, 400, 400]
    assert pair.benches[0].count("ok") == 1
    assert caplog.text.count("An observer of requests failed") == 4
    await pair.close()


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
