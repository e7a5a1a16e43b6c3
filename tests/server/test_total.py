"""Whatever a model raises or answers, its caller gets one answer in the one shape, it is counted, and the connection
lives on: on the fast path, on the slow path, and as Vertex asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.http.events.access_log import AccessLog
from penstock.http.events.request_event import RequestEvent
from penstock.payload import Value
from penstock.serving.served_model import LoadFailure
from penstock.wire.mlflow.codec import MlflowCodec
from penstock.wire.mlflow.error_codes import error_code_of
from server.asgi import Bench, answering, raising
from server.fast_path_bench import BODY
from server.test_both_paths import SlowPathOnly
from serving.fakes import FakePredictor, until
from support.error_zoo import HALF, NAMES, Quitting, logged_as_in_a_server, zoo
from support.wire import answers, connect, request

VERTEX = "/vertex"
WAYS = ["fast", "slow", "vertex"]


def opened(package: Path, predictor: FakePredictor | None, **options: Any) -> Bench:
    bench = Bench(package, predict_route=VERTEX, **options)
    bench.serve("m", predictor)
    bench.open()
    return bench


async def twice(bench: Bench, way: str, body: bytes = BODY) -> list[tuple[str, dict[str, str], bytes]]:
    """Two requests on one connection: a caller's next one is answered, too."""
    protocol, wire = connect(SlowPathOnly(bench.app) if way == "slow" else bench.app)
    sent = request(body, path=VERTEX if way == "vertex" else "/invocations")
    for count in (1, 2):
        protocol.data_received(sent)
        await until(lambda count=count: wire.closed or len(answers(wire.written)) == count)  # type: ignore[misc]
    found = answers(wire.written)
    assert not wire.closed
    protocol.connection_lost(None)
    for status, headers, content in found:
        assert headers["content-type"] == "application/json"
        assert "connection" not in headers
        assert " 200 " in status or json.loads(content).keys() == {"error_code", "message"}
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
async def test_whatever_a_model_raises_is_answered_and_counted(
    identity_onnx_package: Path, number: int, way: str
) -> None:
    error = zoo()[number]
    bench = opened(identity_onnx_package, raising(error))
    with logged_as_in_a_server():
        found = await twice(bench, way)
    expected = "500" if error_code_of(error) else "400"  # of an MlflowException, by its code
    assert [status.split()[1] for status, _, _ in found] == [expected] * 2
    assert bench.count("model_error") == 2
    assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"
    await bench.close()


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(), max_size=20), st.sampled_from(WAYS))
def test_any_text_of_an_error_is_told(identity_onnx_package: Path, text: str, way: str) -> None:
    async def ask() -> None:
        bench = opened(identity_onnx_package, raising(ValueError(text)))
        for status, _, content in await twice(bench, way):
            assert status == "HTTP/1.1 400 Bad Request"
            assert json.loads(content)["message"].startswith("The model failed: ValueError")
        await bench.close()

    asyncio.run(ask())


class Refusing:
    """An object in an answer that raises when its fields are asked for."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def model_dump(self) -> Any:
        raise self._error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
async def test_an_answer_that_cannot_be_written_is_one_500(identity_onnx_package: Path, number: int, way: str) -> None:
    bench = opened(identity_onnx_package, answering(Value([Refusing(zoo()[number])])))
    with logged_as_in_a_server():
        found = await twice(bench, way)
    assert [status for status, _, _ in found] == ["HTTP/1.1 500 Internal Server Error"] * 2
    assert bench.count("model_error") + bench.count("internal") == 2
    await bench.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", ["read", "write"])
@pytest.mark.parametrize(
    "error",
    [Quitting(), SystemExit(1), KeyboardInterrupt(), StopIteration(), BaseException("x")],
    ids=["q", "s", "k", "i", "b"],
)
async def test_a_step_that_raises_anything_is_one_500(
    identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, way: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(MlflowCodec, step, fail)
    bench = opened(identity_onnx_package, None)
    with logged_as_in_a_server():
        found = await twice(bench, way)
    assert [status for status, _, _ in found] == ["HTTP/1.1 500 Internal Server Error"] * 2
    assert bench.count("internal") == 2
    await bench.close()


@pytest.mark.parametrize("way", WAYS)
async def test_books_that_are_wrong_cost_nobody_the_answer(
    identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("books")

    monkeypatch.setattr("penstock.server.predict.request_record.RequestRecord.count", fail)
    bench = opened(identity_onnx_package, None)
    found = await twice(bench, way)
    assert [status for status, _, _ in found] == ["HTTP/1.1 200 OK"] * 2
    assert caplog.text.count("cannot be counted") == 2
    await bench.close()


async def test_a_batcher_whose_observer_raises_answers_its_jobs(
    identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("metrics")

    bench = opened(identity_onnx_package, None)
    monkeypatch.setattr(type(bench.gateway.find("m")._batcher._observer), "dispatched", fail)
    found = await twice(bench, "fast")
    assert [status for status, _, _ in found] == ["HTTP/1.1 500 Internal Server Error"] * 2
    await bench.close()


@pytest.mark.parametrize("text", ["\\ud83d", "a\\uDE00b"])
@pytest.mark.parametrize("way", WAYS)
async def test_half_a_character_in_a_request_is_the_callers_mistake(
    identity_onnx_package: Path, text: str, way: str
) -> None:
    bench = opened(identity_onnx_package, None)
    for status, _, content in await twice(bench, way, f'{{"inputs": [["{text}"]]}}'.encode()):
        assert status == "HTTP/1.1 400 Bad Request"
        assert json.loads(content)["error_code"]
    assert bench.count("client_error") == 2
    dropped = f'{{"inputs": [[1, 2, 3]], "params": {{"{text}": 1}}}}'  # the model has no such param
    for status, _, _ in await twice(bench, way, dropped.encode()):
        assert status == "HTTP/1.1 200 OK"
    await bench.close()


async def test_a_failure_with_any_text_is_shown_among_the_models(identity_onnx_package: Path) -> None:
    bench = Bench(identity_onnx_package)
    bench.serve("m")
    async with bench.open() as client:
        bench.models["m"].note_failure(LoadFailure(HALF, "package", HALF, 0.0, 1))
        shown = (await client.get("/models/m")).json()
        assert shown["failure"]["message"] == HALF  # as an escape, which JSON has for it
        assert (await client.get("/models")).status_code == 200
    await bench.close()


async def test_a_route_that_fails_answers_in_the_one_shape(
    identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise Quitting()

    monkeypatch.setattr("penstock.server.admin.model_endpoints._details", fail)
    bench = opened(identity_onnx_package, None)
    protocol, wire = connect(bench.app)
    for count in (1, 2):
        protocol.data_received(request(b"", path="/models/m", method="GET"))
        await until(lambda count=count: len(answers(wire.written)) == count)  # type: ignore[misc]
    for status, headers, content in answers(wire.written):
        assert status == "HTTP/1.1 500 Internal Server Error"
        assert "connection" not in headers
        assert json.loads(content)["error_code"] == "INTERNAL_ERROR"
    protocol.connection_lost(None)
    assert "GET '/models/m' failed." in caplog.text
    await bench.close()


async def test_a_model_whose_name_is_no_text_is_counted_logged_and_listed(identity_onnx_package: Path) -> None:
    events: list[RequestEvent] = []
    bench = Bench(identity_onnx_package, observe=events.append)
    bench.serve(HALF, version=HALF)
    async with bench.open() as client:
        answer = await client.post("/invocations", content=BODY)
        assert answer.status_code == 200
        assert answer.headers["x-model-name"] == "caf?.txt"
        metrics = (await client.get("/metrics")).text
        assert 'model="caf\\\\udce9.txt"' in metrics
        assert (await client.get("/models")).json()["models"][0]["name"] == HALF
    assert (events[0].model, events[0].version) == ("caf\\udce9.txt",) * 2
    await bench.close()


def test_the_access_log_writes_any_event() -> None:
    lines: list[bytes] = []
    log = AccessLog(lines.append)
    for text in (HALF, "m"):
        log(RequestEvent(text, text, text, "p", 200, "ok", 1, 0.0, 0, 0, 0, 0, 0, 1, 2**70, text, "", "", ""))
    log.close()
    with contextlib.suppress(ValueError):
        lines.remove(b"")
    assert [json.loads(line)["model"] for line in b"".join(lines).splitlines()] == [HALF, "m"]
