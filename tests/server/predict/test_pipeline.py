"""The decisions on a request for predictions, asked one by one, without a transport."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import pytest

from penstock.errors import (
    MalformedInput,
    ModelNotServed,
    ModelProcessLost,
    Overloaded,
    PredictError,
    SchemaViolation,
    UnsupportedMedia,
)
from penstock.http.events.request_event import RequestEvent
from penstock.payload import Payload, Tensors, Violation
from penstock.reader_process.pool import ReadResult
from penstock.server.predict.pipeline import Pipeline
from penstock.server.predict.request_record import PredictResponse, RequestRecord
from penstock.wire.interface import DecodedRequest
from penstock.wire.mlflow.codec import MlflowProtocol, PredictRequest
from penstock.wire.mlflow.formats import CSV, JSON
from server.asgi import Bench
from serving.fakes import tensors, values_of

BODY = b'{"inputs": [[1, 2, 3]]}'
MLFLOW = MlflowProtocol()


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    made = Bench(identity_onnx_package)
    made.serve()
    made.open()
    yield made
    await made.close()


@pytest.fixture
def pipeline(bench: Bench) -> Pipeline:
    return Pipeline(bench.gateway, timeout=7)


def head(**headers: str) -> dict[str, Any]:
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}


def opened(pipeline: Pipeline, **headers: str) -> RequestRecord:
    return pipeline.open(MLFLOW, 100.0, head(**headers))


class TestAdmit:
    def test_media_types_and_deadline_come_from_the_head(self, pipeline: Pipeline) -> None:
        record = opened(pipeline)
        asked = head(content_type="text/csv", accept="text/csv, application/json;q=0.5", x_request_timeout="2")
        pipeline.admit(record, asked, {}, 10)
        assert (record.media, record.answer_media, record.deadline) == (CSV, CSV, 102.0)
        assert record.servable is None, "nobody answers yet"

    def test_what_the_head_leaves_out_has_defaults(self, pipeline: Pipeline) -> None:
        record = opened(pipeline)
        pipeline.admit(record, head(), {}, 0)
        assert (record.media, record.answer_media, record.deadline) == (JSON, JSON, 107.0)

    def test_the_timeout_is_the_models_own_where_it_has_one(self, bench: Bench, pipeline: Pipeline) -> None:
        bench.serve("m", version="2", timeout=3)
        record = opened(pipeline)
        pipeline.admit(record, head(x_request_timeout="60"), {"name": "m"}, 0)
        assert record.deadline == 103.0

    def test_an_unknown_model_is_no_reason_to_refuse_the_body(self, pipeline: Pipeline) -> None:
        record = opened(pipeline)
        pipeline.admit(record, head(), {"name": "nobody"}, 0)
        assert record.deadline == 107.0

    @pytest.mark.parametrize(
        ("headers", "error"),
        [({"content_type": "image/png"}, UnsupportedMedia), ({"x_request_timeout": "soon"}, MalformedInput)],
    )
    def test_heads_that_cannot_be_met_are_refused(
        self, pipeline: Pipeline, headers: dict[str, str], error: type
    ) -> None:
        with pytest.raises(error):
            pipeline.admit(opened(pipeline), head(**headers), {}, 0)

    def test_a_refusal_is_counted_for_the_version_that_had_no_room(self, bench: Bench, pipeline: Pipeline) -> None:
        bench.gateway.find("m").concurrency_limit.limit = 0
        record = opened(pipeline)
        assert pipeline.overloaded_until < perf_counter()
        with pytest.raises(Overloaded) as refusal:
            pipeline.admit(record, head(), {}, 0)
        response = pipeline.fail(record, refusal.value)
        record.count(response)
        assert (response.status, response.outcome, response.retry_after) == (429, "rejected", 1)
        assert bench.count("rejected") == 1
        assert pipeline.overloaded_until > perf_counter()


class TestFind:
    def test_the_answer_carries_the_name_of_the_version(self, pipeline: Pipeline) -> None:
        record = opened(pipeline, x_request_id="mine")
        pipeline.find(record, {"name": "m", "version": "1"})
        headers = dict(record.headers(PredictResponse(200, "ok", b"{}", JSON)))
        assert (headers[b"x-model-name"], headers[b"x-model-version"]) == (b"m", b"1")
        assert headers[b"x-request-id"] == b"mine"

    def test_the_answer_for_an_unknown_model_names_no_model(self, bench: Bench, pipeline: Pipeline) -> None:
        record = opened(pipeline)
        with pytest.raises(ModelNotServed) as unknown:
            pipeline.find(record, {"name": "nobody"})
        response = pipeline.fail(record, unknown.value)
        record.count(response)
        assert response.status == 404
        assert b"x-model-name" not in dict(record.headers(response))
        assert bench.count("client_error", model="", version="") == 1


class TestRead:
    async def test_params_get_their_defaults(self, identity_onnx_package: Path, python_package: Path) -> None:
        bench = Bench(identity_onnx_package)
        bench.serve("p", package=python_package)
        bench.open()
        pipeline = Pipeline(bench.gateway)
        record = opened(pipeline)
        pipeline.admit(record, head(), {}, 0)
        pipeline.find(record, {})
        pipeline.read(record, b'{"inputs": {"a": [1], "b": [2]}}')
        assert record.request is not None
        assert record.request.params == {"offset": 0.0}
        await bench.close()

    def test_rows_that_do_not_fit_are_answered_400(self, pipeline: Pipeline) -> None:
        record = opened(pipeline)
        pipeline.admit(record, head(), {}, 0)
        pipeline.find(record, {})
        with pytest.raises(SchemaViolation) as violation:
            pipeline.read(record, b'{"inputs": [[1, 2, 3, 4]]}')
        assert pipeline.fail(record, violation.value).status == 400

    def test_a_body_that_somebody_else_has_read_is_taken_as_it_is(self, pipeline: Pipeline) -> None:
        record = opened(pipeline)
        pipeline.admit(record, head(), {}, 0)
        pipeline.find(record, {})
        result = ReadResult(tensors(1, width=1), {"a": 2}, {"wrapped": False}, 77)
        pipeline.was_read(record, result, 0.5)
        assert isinstance(record.request, PredictRequest)
        assert (values_of(record.request.payload), record.request.params, record.request.wrapped) == (
            [1],
            {"a": 2},
            False,
        )
        assert record.decode == 0.5


class TestFail:
    def test_a_lost_process_says_when_to_come_back(self, pipeline: Pipeline) -> None:
        lost = ModelProcessLost("It ended.")
        lost.retry_after = 4
        response = pipeline.fail(opened(pipeline), lost)
        assert (response.status, response.outcome, response.retry_after) == (503, "internal", 4)

    def test_a_models_error_is_logged_with_the_request(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        record = opened(pipeline, x_request_id="mine")
        pipeline.find(record, {})
        response = pipeline.fail(record, PredictError("The model failed."))
        assert (response.status, response.outcome) == (400, "model_error")
        (line,) = caplog.records
        assert line.levelno == logging.WARNING
        assert line.getMessage() == "Request mine to m version 1 failed. The model failed."

    def test_a_bug_tells_the_caller_nothing_of_the_inside(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = pipeline.fail(opened(pipeline, x_request_id="mine"), ZeroDivisionError("secret"))
        assert (response.status, response.outcome) == (500, "internal")
        assert b"secret" not in response.content
        assert [line.levelno for line in caplog.records] == [logging.ERROR]

    def test_an_error_that_cannot_be_told_keeps_its_status(self, pipeline: Pipeline) -> None:
        class Untellable(MalformedInput):
            def __str__(self) -> str:
                raise RuntimeError("no words")

        response = pipeline.fail(opened(pipeline, x_request_id="mine"), Untellable("x"))
        assert (response.status, response.outcome) == (400, "client_error")
        assert orjson.loads(response.content)["message"] == "(Untellable without a text)"

    def test_a_failure_of_the_table_itself_is_a_500(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("penstock.server.predict.pipeline.status_of", lambda _: 1 / 0)
        response = pipeline.fail(opened(pipeline, x_request_id="mine"), MalformedInput("x"))
        assert (response.status, response.outcome) == (500, "internal")
        assert orjson.loads(response.content).keys() == {"error_code", "message"}
        assert "mine" in caplog.text


class TestCount:
    async def test_a_request_is_answered_counted_and_observed_once(self, bench: Bench) -> None:
        events: list[RequestEvent] = []
        pipeline = Pipeline(bench.gateway, observe=events.append)
        asked = head(content_length=str(len(BODY)), traceparent="00-1-1-00")
        record = pipeline.open(MLFLOW, perf_counter(), asked, ("10.0.0.1", 5))
        pipeline.admit(record, asked, {}, len(BODY))
        pipeline.find(record, {})
        pipeline.read(record, BODY)
        response = pipeline.write(record, await pipeline.predict(record))
        record.count(response)
        assert orjson.loads(response.content) == {"predictions": [[1.0, 2.0, 3.0]]}
        assert bench.count("ok") == 1
        (event,) = events
        assert (event.model, event.version, event.protocol, event.status) == ("m", "1", "invocations", 200)
        assert (event.rows, event.received, event.sent) == (1, len(BODY), len(response.content))
        assert (event.client, event.trace) == ("10.0.0.1:5", "00-1-1-00")
        assert event.seconds >= event.decode + event.queue + event.predict + event.encode > 0

    def test_an_observer_that_raises_costs_nobody_the_answer(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        def explode(event: RequestEvent) -> None:
            raise RuntimeError("observer")

        record = Pipeline(bench.gateway, observe=explode).open(MLFLOW, perf_counter(), head(x_request_id="mine"))
        record.count(PredictResponse(404, "client_error", b"{}", JSON))
        record.count_left()
        assert bench.count("client_error", model="", version="") == 2
        assert caplog.text.count("An observer of requests failed at request mine.") == 2

    @pytest.mark.parametrize("served", [True, False])
    @pytest.mark.parametrize("retry_after", [None, 3])
    def test_header_lines_equal_the_headers(self, pipeline: Pipeline, served: bool, retry_after: int | None) -> None:
        record = opened(pipeline)
        if served:
            pipeline.find(record, {})
        response = PredictResponse(429, "rejected", b"12345", JSON, retry_after)
        lines = record.header_lines(response).decode().split("\r\n")
        assert lines == [*(f"{name.decode()}: {value.decode()}" for name, value in record.headers(response)), ""]


class Spaced(DecodedRequest):
    """A body of the protocol below."""


class SpacedProtocol:
    """A protocol of numbers with spaces between: nothing in the pipeline is MLflow's."""

    name = "invocations"
    readable = ("text/plain",)

    def answer_media(self, accept: bytes | None) -> str:
        return "text/plain"

    def error_body(self, error_code: str, message: str, violations: Sequence[Violation] = ()) -> tuple[bytes, str]:
        return f"{error_code}: {message}".encode(), "text/plain"

    request_type = Spaced

    def of_model(self, name: str) -> SpacedProtocol:
        return self

    def codec(self, signature: Any, *, frames: bool, on_loop: bool | None = None) -> SpacedProtocol:
        return self

    def libraries(self, media: str, frames: bool) -> tuple[str, ...]:
        return ()

    def read(self, media: str, body: bytes) -> Spaced:
        return Spaced(tensors(*map(float, body.split()), width=3))

    def write(self, payload: Payload, request: Spaced, media: str) -> tuple[bytes, str]:
        assert isinstance(payload, Tensors)
        return " ".join(map(str, payload.arrays[0][:, 0].tolist())).encode(), media


async def test_another_protocol_goes_through_the_same_pipeline(pipeline: Pipeline) -> None:
    asked = head(content_type="text/plain")
    record = pipeline.open(SpacedProtocol(), perf_counter(), asked)
    pipeline.admit(record, asked, {}, 5)
    pipeline.find(record, {})
    pipeline.read(record, b"1 2.5")
    response = pipeline.write(record, await pipeline.predict(record))
    assert (response.content, response.media) == (b"1.0 2.5", "text/plain")


async def test_an_error_is_written_in_the_words_of_the_protocol_that_asked(pipeline: Pipeline) -> None:
    record = pipeline.open(SpacedProtocol(), perf_counter(), head(content_type="text/plain"))
    response = pipeline.fail(record, MalformedInput("It is no number."))
    assert (response.status, response.content, response.media) == (400, b"BAD_REQUEST: It is no number.", "text/plain")
