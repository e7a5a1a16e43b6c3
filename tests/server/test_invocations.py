"""Predictions over HTTP: bodies in, answers and errors out, and what is counted."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock.payload import Payload, Tensors, Value
from penstock.wire.mlflow.codec import MlflowCodec
from penstock.wire.mlflow.formats import JSON_WORDS
from server.asgi import Bench, Held, answering, is_error, raising
from serving.fakes import FakePredictor, settle, until

ROWS = {"inputs": [[1, 2, 3]]}
BODY = json.dumps(ROWS).encode()
LIMIT = 5000


class TestAnswers:
    async def test_an_answer_has_model_version_and_timing_headers(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/invocations", json=ROWS)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["x-model-name"] == "m"
        assert answer.headers["x-model-version"] == "1"
        assert answer.headers["x-content-type-options"] == "nosniff"
        number = r"\d+\.\d{3}"
        assert re.fullmatch(
            f"decode;dur={number}, queue;dur={number}, predict;dur={number}, encode;dur={number}",
            answer.headers["server-timing"],
        )

    async def test_the_model_gets_conformed_rows_and_params(self, bench: Bench, python_package: Path) -> None:
        seen: list[Any] = []

        def note(payload: Payload, params: Mapping[str, Any]) -> Payload:
            seen.append((payload, params))
            return Tensors.single(np.zeros(payload.rows or 0))

        bench.serve("m", FakePredictor(note), package=python_package)
        async with bench.open() as http:
            records = [{"b": 2, "a": 1, "c": "extra"}]
            await http.post("/invocations", json={"dataframe_records": records, "params": {"offset": 3}})
        payload, params = seen[0]
        assert (payload.names, payload.block.tolist(), params) == (("a", "b"), [[1.0, 2.0]], {"offset": 3.0})

    async def test_csv_columns_are_found_by_name(self, bench: Bench, iris_package: Path) -> None:
        bench.serve("m", FakePredictor(lambda p, _: Tensors.single(p.block[:, 3])), package=iris_package)  # type: ignore[index,union-attr]
        csv = "petal_width,sepal_width,petal_length,sepal_length\n1.5,2,3,4\n5.5,6,7,8\n"
        async with bench.open() as http:
            for kind in ("text/csv", "text/csv; charset=utf-8", 'TEXT/CSV;charset="UTF-8"'):
                answer = await http.post("/invocations", content=csv, headers={"content-type": kind})
                assert answer.json() == {"predictions": [1.5, 5.5]}

    async def test_a_body_without_a_type_is_json(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/invocations", content=BODY)).status_code == 200

    async def test_an_empty_request_has_an_answer_of_no_rows(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/invocations", json={"inputs": []})
        assert answer.status_code in (200, 400)
        assert answer.headers["content-type"] == "application/json"


class TestWhichModel:
    async def test_several_models_without_a_default_need_a_name(self, bench: Bench) -> None:
        bench.serve("a", answering(Value("a")))
        bench.serve("b", answering(Value("b")))
        async with bench.open() as http:
            message = is_error(await http.post("/invocations", json=ROWS), 404, "RESOURCE_DOES_NOT_EXIST")
            assert "served: a, b" in message
            for name in "ab":
                answer = await http.post(f"/models/{name}/invocations", json=ROWS)
                assert (answer.json(), answer.headers["x-model-name"]) == ({"predictions": name}, name)

    async def test_of_several_models_the_default_answers(self, identity_onnx_package: Path) -> None:
        bench = Bench(identity_onnx_package, default="b")
        bench.serve("a", answering(Value("a")))
        bench.serve("b", answering(Value("b")))
        async with bench.open() as http:
            assert (await http.post("/invocations", json=ROWS)).json() == {"predictions": "b"}
        await bench.close()

    async def test_a_loaded_version_answers_by_its_number(self, bench: Bench) -> None:
        for version in "12":
            bench.serve("m", answering(Value(version)), version=version)
        async with bench.open() as http:
            for version in "12":
                answer = await http.post(f"/models/m/versions/{version}/invocations", json=ROWS)
                assert answer.json()["predictions"] == version
                assert answer.headers["x-model-version"] == version
            gone = await http.post("/models/m/versions/9/invocations", json=ROWS)
            assert "loaded: 2, 1" in is_error(gone, 404, "RESOURCE_DOES_NOT_EXIST")
            assert "x-model-version" not in gone.headers

    async def test_a_name_from_the_outside_never_becomes_a_label(self, bench: Bench, client: httpx.AsyncClient) -> None:
        for path in ("/models/evil/invocations", "/models/m/versions/evil/invocations", "/models/evil"):
            await (client.post(path, json=ROWS) if path.endswith("invocations") else client.get(path))
        assert b"evil" not in bench.metrics.render()
        assert bench.count("client_error", model="", version="") == 2


class TestErrors:
    @pytest.mark.parametrize(
        ("content", "kind", "status", "code"),
        [
            (b"", "application/json", 400, "BAD_REQUEST"),
            (b"{", "application/json", 400, "BAD_REQUEST"),
            (b"[1]", "application/json", 400, "BAD_REQUEST"),
            (b'{"rows": []}', "application/json", 400, "BAD_REQUEST"),
            (b'{"inputs": [[1, 2]]}', "application/json", 400, "INVALID_PARAMETER_VALUE"),
            (b"[" * 4000, "application/json", 400, "BAD_REQUEST"),
            (b"\xff\xfe\x00", "application/json", 400, "BAD_REQUEST"),
            (b"", "text/csv", 400, "BAD_REQUEST"),
            (b"a,b\n1\n", "text/csv", 400, "BAD_REQUEST"),
            (BODY, "text/html", 415, "BAD_REQUEST"),
            (BODY, "application/json; charset=latin-1", 415, "BAD_REQUEST"),
            (BODY, "multipart/form-data; boundary=x", 415, "BAD_REQUEST"),
        ],
    )
    async def test_a_callers_error_is_a_4xx_with_its_code(
        self, bench: Bench, client: httpx.AsyncClient, content: bytes, kind: str, status: int, code: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        answer = await client.post("/invocations", content=content, headers={"content-type": kind})
        is_error(answer, status, code)
        served = status != 415  # those are refused before a model is looked for
        assert bench.count("client_error", **({} if served else {"model": "", "version": ""})) == 1
        assert [r for r in caplog.records if r.name.startswith("penstock.server")] == []

    async def test_an_unknown_encoding_is_a_415(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/invocations", content=BODY, headers={"content-encoding": "pigeon"})
        is_error(answer, 415, "BAD_REQUEST")

    async def test_a_models_error_is_a_400_logged_with_its_traceback(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.serve("m", raising(ValueError("could not\nconvert")))
        async with bench.open() as http:
            answer = await http.post("/invocations", json=ROWS, headers={"x-request-id": "call-7"})
        assert "ValueError: could not" in is_error(answer, 400, "BAD_REQUEST")
        assert bench.count("model_error") == 1
        (record,) = [r for r in caplog.records if r.name == "penstock.server"]
        assert record.levelno == logging.WARNING
        assert "Request call-7 to m version 1 failed." in record.getMessage()
        assert "\n" not in record.getMessage()
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], ValueError)

    async def test_an_answer_without_a_form_in_json_is_a_500(self, bench: Bench) -> None:
        class Verdict:
            pass

        bench.serve("m", answering(Value([{"verdict": Verdict()}])))
        async with bench.open() as http:
            answer = await http.post("/invocations", json=ROWS)
        assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
        assert "Verdict, which cannot be written as JSON" in answer.json()["message"]
        assert bench.count("model_error") == 1

    async def test_an_internal_error_tells_the_caller_nothing_of_the_inside(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.serve()
        monkeypatch.setattr(MlflowCodec, "read", lambda *_: 1 / 0)
        async with bench.open() as http:
            answer = await http.post("/invocations", json=ROWS)
            message = is_error(answer, 500, "INTERNAL_ERROR")
            assert "division" not in message.lower()
            assert bench.count("internal") == 1
            (record,) = [r for r in caplog.records if r.name == "penstock.server"]
            assert record.levelno == logging.ERROR
            assert answer.headers["x-request-id"] in record.getMessage()
            assert bench.metrics.registry.get_sample_value(
                "penstock_in_flight_requests", {"model": "m", "version": "1"}
            ) == 0  # fmt: skip

    async def test_a_full_queue_is_a_429_with_retry_after(self, bench: Bench) -> None:
        bench.serve("m", held := Held(), max_queue_rows=1)

        def in_queue(rows: int) -> bool:
            return bool(held.calls) and bench.gateway.find(None)._batcher._lanes.rows == rows

        async with bench.open() as http:
            tasks = []
            for waiting in (0, 1):
                tasks.append(asyncio.create_task(http.post("/invocations", json=ROWS)))
                await until(partial(in_queue, waiting))
            answer = await http.post("/invocations", json=ROWS)
            is_error(answer, 429, "REQUEST_LIMIT_EXCEEDED")
            assert int(answer.headers["retry-after"]) >= 1
            assert bench.count("rejected") == 1
            held.free.set()
            assert [(await t).status_code for t in tasks] == [200, 200]

    async def test_a_model_that_is_not_loaded_yet_says_so(self, bench: Bench) -> None:
        bench.expect("m")
        async with bench.open() as http:
            answer = await http.post("/invocations", json=ROWS)
        assert answer.status_code in (404, 503)
        assert "not loaded yet" in answer.json()["message"]

    async def test_a_version_that_is_closed_is_a_503(self, bench: Bench) -> None:
        servable = bench.serve()
        async with bench.open() as http:
            await servable.close()
            is_error(await http.post("/invocations", json=ROWS), 503, "TEMPORARILY_UNAVAILABLE")
            assert bench.count("rejected") == 1


class TestDeadlines:
    async def test_a_deadline_that_passes_drops_the_job(self, bench: Bench) -> None:
        bench.serve("m", held := Held())
        async with bench.open() as http:
            working = asyncio.create_task(http.post("/invocations", json=ROWS))
            await until(lambda: held.calls)
            for seconds in ("0.01", "0.05"):
                late = await http.post("/invocations", json=ROWS, headers={"x-request-timeout": seconds})
                is_error(late, 504, "DEADLINE_EXCEEDED")
            assert bench.count("timeout") == 2
            held.free.set()
            assert (await working).status_code == 200
            await settle()

    async def test_a_model_may_have_a_timeout_of_its_own(self, bench: Bench) -> None:
        bench.serve("quick", held := Held(), timeout=0.05)
        bench.serve("patient", FakePredictor())
        async with bench.open() as http:
            for headers in ({}, {"x-request-timeout": "30"}):  # it is also the most
                late = await http.post("/models/quick/invocations", json=ROWS, headers=headers)
                is_error(late, 504, "DEADLINE_EXCEEDED")
            assert (await http.post("/models/patient/invocations", json=ROWS)).status_code == 200
            held.free.set()
            assert len(held.calls) == 1, "dropped work reached the model"

    @pytest.mark.parametrize("value", ["0", "-1", "nan", "soon", ""])
    async def test_a_timeout_that_is_no_number_of_seconds_is_a_400(self, client: httpx.AsyncClient, value: str) -> None:
        answer = await client.post("/invocations", json=ROWS, headers={"x-request-timeout": value})
        is_error(answer, 400, "BAD_REQUEST")

    @pytest.mark.parametrize("value", ["5", "0.9", "inf", "1e9"])
    async def test_a_timeout_that_is_long_enough_is_met(self, client: httpx.AsyncClient, value: str) -> None:
        answer = await client.post("/invocations", json=ROWS, headers={"x-request-timeout": value})
        assert answer.status_code == 200


class TestRequestIds:
    @pytest.mark.parametrize("given", ["a", "4f2c-9", "urn:x/y=1@z+_.", "x" * 128])
    async def test_a_harmless_request_id_comes_back(self, client: httpx.AsyncClient, given: str) -> None:
        for body in (ROWS, {"rubbish": 1}):
            answer = await client.post("/invocations", json=body, headers={"x-request-id": given})
            assert answer.headers["x-request-id"] == given

    @pytest.mark.parametrize("given", ["", "a b", "a\tb", "<script>", "x" * 129, "a;b", 'a"b', "a%0d%0ab", "ü", "a,b"])
    async def test_a_hostile_request_id_is_replaced(self, client: httpx.AsyncClient, given: str) -> None:
        answer = await client.post("/invocations", json=ROWS, headers={b"x-request-id": given.encode()})
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])

    async def test_every_new_request_id_is_another(self, client: httpx.AsyncClient) -> None:
        ids = {(await client.post("/invocations", json=ROWS)).headers["x-request-id"] for _ in range(5)}
        assert len(ids) == 5


async def test_who_reads_words_for_numbers_that_are_not_finite_gets_them(client: httpx.AsyncClient) -> None:
    rows = b'{"inputs": [[NaN, Infinity, -Infinity], [1, 2, 3]]}'
    plain = await client.post("/invocations", content=rows)
    assert plain.json() == {"predictions": [[None, None, None], [1.0, 2.0, 3.0]]}
    words = await client.post("/invocations", content=rows, headers={"Accept": JSON_WORDS})
    assert words.text == '{"predictions":[[NaN,Infinity,-Infinity],[1.0,2.0,3.0]]}'
    assert words.headers["content-type"] == "application/json"
    rest = await client.post("/invocations", content=b'{"inputs": [[1, 2, 3]]}', headers={"Accept": JSON_WORDS})
    assert rest.text == '{"predictions":[[1.0,2.0,3.0]]}'


async def test_metrics_count_requests_rows_and_stages(bench: Bench, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post("/invocations", json={"inputs": [[1, 2, 3]] * 4})
    await client.post("/invocations", content=b"{")
    text = (await client.get("/metrics")).text
    assert 'penstock_requests_total{model="m",outcome="ok",protocol="invocations",version="1"} 3.0' in text
    assert 'penstock_requests_total{model="m",outcome="client_error",protocol="invocations",version="1"} 1.0' in text
    value = bench.metrics.registry.get_sample_value
    labels = {"model": "m", "version": "1"}
    assert value("penstock_rows_total", labels) == 12
    assert value("penstock_request_seconds_count", {**labels, "protocol": "invocations"}) == 4
    for stage in ("decode", "queue", "predict", "encode"):
        assert value("penstock_stage_seconds_count", {**labels, "stage": stage}) == 3
    assert value("penstock_in_flight_requests", labels) == 0
    assert value("penstock_ready") == 1
