"""What Vertex AI and SageMaker ask of a container."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from penstock.cli.serve import platform_models
from penstock.config import load_settings
from penstock.http.events.request_event import RequestEvent
from server.asgi import Bench, Exchange
from server.conftest import Launch

BODY = {"instances": [[1, 2, 3]]}


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    made = Bench(
        identity_onnx_package, predict_route="/v1/predict", health_route="/v1/health", token="x", max_body_bytes=2000
    )
    yield made
    await made.close()


TOKEN = {"authorization": "Bearer x"}


async def test_vertex_routes_answer_and_want_the_token(bench: Bench) -> None:
    bench.serve()
    async with bench.open() as http:
        assert (await http.get("/v1/health")).status_code == 200  # without a token, as every probe
        assert (await http.post("/v1/predict", json=BODY)).status_code == 401
        for parameters in ({}, {"parameters": None}):
            answer = await http.post("/v1/predict", json={**BODY, **parameters}, headers=TOKEN)
            assert answer.json() == {"predictions": [[1.0, 2.0, 3.0]]}
        assert (await http.post("/invocations", json=BODY, headers=TOKEN)).status_code == 200


async def test_vertex_parameters_are_params(bench: Bench) -> None:
    """The model takes none, so naming one is the caller's mistake, in the same words as at /invocations."""
    bench.serve()
    async with bench.open() as http:
        theirs = await http.post("/v1/predict", json={**BODY, "parameters": {"depth": 1}}, headers=TOKEN)
        ours = await http.post("/invocations", json={**BODY, "params": {"depth": 1}}, headers=TOKEN)
        assert (theirs.status_code, theirs.content) == (ours.status_code, ours.content)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"parameters": 1}', b'"parameters"'])
async def test_other_bodies_are_answered_as_ever(bench: Bench, body: bytes) -> None:
    bench.serve()
    async with bench.open() as http:
        assert (await http.post("/v1/predict", content=body, headers=TOKEN)).status_code == 400


async def test_a_body_over_the_limit_is_a_413_on_the_vertex_route(bench: Bench) -> None:
    bench.serve()
    async with bench.open() as http:
        answer = await http.post("/v1/predict", content=b" " * 2001, headers=TOKEN)
        assert answer.status_code == 413
        assert answer.json()["error_code"] == "BAD_REQUEST"
    assert repr(bench.gateway.intake) == "<InflightLimits 0 requests, 0 bytes>"


async def test_refusals_are_counted_and_told_like_every_others(identity_onnx_package: Path) -> None:
    events: list[RequestEvent] = []
    bench = Bench(identity_onnx_package, predict_route="/v1/predict", max_body_bytes=2000, observe=events.append)
    bench.serve()
    async with bench.open() as http:
        assert (await http.post("/v1/predict", content=b" " * 2001)).status_code == 413
        bench.gateway.intake.max_requests = 0
        refused = await http.post("/v1/predict", json=BODY, headers={"x-request-id": "mine"})
        assert (refused.status_code, refused.headers["x-request-id"]) == (429, "mine")
        assert int(refused.headers["retry-after"]) >= 1
    assert bench.count("client_error", model="", version="") == 1
    assert bench.count("rejected") == 1
    assert bench.metrics.version("m", "1").overloaded["requests"].value == 1
    assert [(e.protocol, e.status, e.outcome, e.model) for e in events] == [
        ("invocations", 413, "client_error", ""),
        ("invocations", 429, "rejected", "m"),
    ]
    assert events[1].request_id == "mine"
    await bench.close()


async def test_a_body_that_never_ends_is_timed_out_and_counted(identity_onnx_package: Path) -> None:
    bench = Bench(identity_onnx_package, predict_route="/v1/predict", timeout=0.05)
    bench.serve()
    bench.open()
    exchange = Exchange(bench.app, path="/v1/predict", headers={"content-length": "100"})
    exchange.body(b"{", more=True)
    assert await exchange.status() == 408
    assert bench.count("client_error", model="", version="") == 1
    await bench.close()


async def test_a_packed_body_has_its_parameters_read(bench: Bench) -> None:
    bench.serve()
    packed = gzip.compress(json.dumps({**BODY, "parameters": {"depth": 1}}).encode())
    async with bench.open() as http:
        theirs = await http.post("/v1/predict", content=packed, headers={**TOKEN, "content-encoding": "gzip"})
        ours = await http.post("/invocations", json={**BODY, "params": {"depth": 1}}, headers=TOKEN)
        assert (theirs.status_code, theirs.content) == (ours.status_code, ours.content)


def test_variables_of_vertex_and_sagemaker_are_read_below_our_own() -> None:
    aip = {"AIP_HTTP_PORT": "9001", "AIP_PREDICT_ROUTE": "/p", "AIP_HEALTH_ROUTE": "/h"}
    settings, origins = load_settings({}, aip)
    assert (settings.port, settings.predict_route, settings.health_route) == (9001, "/p", "/h")
    assert origins["port"] == "AIP_HTTP_PORT"
    assert load_settings({}, {"SAGEMAKER_BIND_TO_PORT": "9002"})[0].port == 9002
    assert load_settings({}, {**aip, "PENSTOCK_PORT": "9003"})[0].port == 9003


def test_a_model_is_found_where_sagemaker_unpacks_it(iris_package: Path, tmp_path: Path) -> None:
    assert platform_models({"SM_MODEL_DIR": str(tmp_path)}) == ()
    inside = tmp_path / "anything"
    inside.mkdir()
    (inside / "MLmodel").write_text("x")
    assert platform_models({"SM_MODEL_DIR": str(tmp_path)}) == (f"model={inside}",)
    (tmp_path / "MLmodel").write_text("x")
    assert platform_models({"SM_MODEL_DIR": str(tmp_path)}) == (f"model={tmp_path}",)


def test_the_bucket_of_vertex_wins_over_sagemakers_directory(iris_package: Path) -> None:
    both = {"SM_MODEL_DIR": str(iris_package), "AIP_STORAGE_URI": "gs://caip-tenant/artifacts"}
    assert platform_models(both) == ("model=gs://caip-tenant/artifacts",)
    assert platform_models({**both, "AIP_STORAGE_URI": ""}) == (f"model={iris_package}",)


def test_a_server_that_sagemaker_starts_serves_its_model(launch: Launch, iris_package: Path) -> None:
    server = launch(SM_MODEL_DIR=str(iris_package)).wait_ready()
    rows = json.loads((iris_package / "serving_input_example.json").read_bytes())
    assert httpx.post(f"{server.url}/invocations", json=rows).status_code == 200
    assert httpx.get(f"{server.url}/ping").status_code == 200
    assert [m["name"] for m in httpx.get(f"{server.url}/models").json()["models"]] == ["model"]
