"""The fast path and the slow path give the same answers, and count the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.http.events.request_event import RequestEvent
from penstock.server.connection.fast_path import MAX_FAST_BYTES
from penstock.wire.mlflow.codec import MlflowCodec
from server.asgi import Bench, raising
from server.fast_path_bench import BODY
from serving.fakes import FakePredictor, until
from support.wire import answers, connect, request


class SlowPathOnly:
    """The same application without the fast path."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


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
    "origin: https://app.example.com",
    "origin: https://other.example.com",
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
        options: dict[str, Any] = {"max_body_bytes": 2 * MAX_FAST_BYTES, "token": token, "observe": observe}
        options["cors_origins"] = ["https://app.example.com"]
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
            assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"
            assert bench.gateway.find("m").concurrency_limit.inside == 0

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
