"""Routes, probes, listings, the door: everything but predictions themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

import penstock
from penstock.serving.served_model import RegistryState, ServedModel
from server.asgi import Bench, Exchange

PROBES = ("/ping", "/health", "/livez", "/readyz")
READ = (*PROBES, "/version", "/metrics", "/models", "/models/m", "/openapi.json")
POST = ("/invocations", "/models/m/invocations", "/models/m/versions/1/invocations")
ROWS = {"inputs": [[1, 2, 3]]}


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    made = Bench(identity_onnx_package)
    yield made
    await made.close()


def is_error(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"error_code", "message"}
    assert answer.json()["error_code"] == code


class TestRoutes:
    @pytest.mark.parametrize("path", READ)
    async def test_every_path_to_read_answers_get_and_head(self, client: httpx.AsyncClient, path: str) -> None:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.content
        head = await client.head(path)
        assert head.status_code == 200
        assert head.headers["content-type"] == answer.headers["content-type"]

    @pytest.mark.parametrize("path", POST)
    async def test_every_path_of_predictions_answers_post(self, client: httpx.AsyncClient, path: str) -> None:
        assert (await client.post(path, json=ROWS)).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "/"), ("DELETE", "/")]
        + [
            (method, path)
            for method in ("GET", "POST", "DELETE")
            for path in ("/nothing", "/models/m/nothing", "/models/m/versions", "/invocations/x")
        ],
    )
    async def test_an_unknown_path_is_a_404_that_names_the_right_one(
        self, client: httpx.AsyncClient, path: str, method: str
    ) -> None:
        answer = await client.request(method, path)
        is_error(answer, 404, "ENDPOINT_NOT_FOUND")
        assert "POST /invocations" in answer.json()["message"]

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [("GET", p, "POST") for p in POST]
        + [("DELETE", "/invocations", "POST"), ("POST", "/ping", "GET"), ("PUT", "/models", "GET")],
    )
    async def test_a_wrong_method_is_a_405_that_names_the_allowed_ones(
        self, client: httpx.AsyncClient, method: str, path: str, allowed: str
    ) -> None:
        answer = await client.request(method, path)
        is_error(answer, 405, "BAD_REQUEST")
        assert allowed in answer.headers["allow"]

    async def test_head_of_a_prediction_is_a_405(self, client: httpx.AsyncClient) -> None:
        assert (await client.head("/invocations")).status_code == 405


class TestProbes:
    async def test_ping_health_and_version_answer_as_mlflow_does(self, client: httpx.AsyncClient) -> None:
        for path in ("/ping", "/health"):
            answer = await client.get(path)
            assert (answer.text, answer.headers["content-type"]) == ("\n", "application/json")
        assert (await client.get("/version")).text == penstock.__version__

    async def test_the_server_is_not_ready_while_a_model_is_missing(self, bench: Bench) -> None:
        bench.serve("a")
        bench.expect("b")
        async with bench.open() as http:
            answer = await http.get("/readyz")
            assert answer.status_code == 503
            assert answer.json() == {
                "ready": False, "state": "loading", "waiting_for": ["b"], "because": {"b": "loading"},
            }  # fmt: skip
            assert (await http.get("/ping")).status_code == 503
            assert (await http.get("/livez")).json() == {"live": True}
            bench.serve("b")
            assert (await http.get("/readyz")).json() == {"ready": True, "state": "ready", "waiting_for": []}
            assert (await http.get("/ping")).status_code == 200

    async def test_a_draining_server_is_not_ready_and_closes_connections(
        self, bench: Bench, client: httpx.AsyncClient
    ) -> None:
        assert "connection" not in (await client.get("/readyz")).headers
        bench.gateway.drain()
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["state"] == "draining"
        for other in (answer, await client.post("/invocations", json=ROWS), await client.get("/nothing")):
            assert other.headers.get_list("connection") == ["close"]
        assert (await client.post("/invocations", json=ROWS)).status_code == 200
        assert (await client.get("/livez")).status_code == 200

    async def test_without_models_the_server_is_never_ready(self, bench: Bench) -> None:
        async with bench.open() as http:
            assert (await http.get("/readyz")).status_code == 503


class TestListings:
    async def test_the_list_has_served_and_expected_models(self, bench: Bench) -> None:
        bench.serve("b")
        bench.expect("a")
        async with bench.open() as http:
            assert (await http.get("/models")).json() == {
                "models": [
                    {"name": "a", "ready": False, "version": None, "alias": None, "stale": False, "registry": None},
                    {"name": "b", "ready": True, "version": "1", "alias": None, "stale": False, "registry": None},
                ],
                "default": None,
            }
            assert (await http.get("/models/a")).json()["versions"] == []

    async def test_an_unreachable_registry_is_another_thing_than_a_missing_alias(self, bench: Bench) -> None:
        said: dict[str, Literal["unreachable", "names_no_version"]] = {
            "away": "unreachable",
            "gone": "names_no_version",
        }
        for name, state in said.items():
            served = bench.models[name] = ServedModel(name, bench.metrics, alias="production")
            served.note_registry(
                RegistryState(state, code=f"code_{name}", message="Why.", since=0.0, stale=name == "away")
            )
        bench.models["new"] = ServedModel("new", bench.metrics, alias="production")
        async with bench.open() as http:
            ready = (await http.get("/readyz")).json()
            assert ready["because"] == {"away": "code_away", "gone": "code_gone", "new": "loading"}
            assert ready["stale"] == ["away"]
            listed = {model["name"]: model["registry"] for model in (await http.get("/models")).json()["models"]}
            assert listed["new"] == {"state": "ok"}
            for name, state in said.items():
                since = "1970-01-01T00:00:00+00:00"
                assert listed[name] == {"state": state, "code": f"code_{name}", "message": "Why.", "since": since}
                assert (await http.get(f"/models/{name}")).json()["registry"] == listed[name]

    async def test_a_models_page_has_its_versions_and_signature(self, bench: Bench, iris_package: Path) -> None:
        bench.serve(package=iris_package)
        bench.serve(package=iris_package, version="2", unjoined="for the test")
        async with bench.open() as http:
            found = (await http.get("/models/m")).json()
        assert [(v["version"], v["state"], v["flavor"], v["batched"]) for v in found["versions"]] == [
            ("2", "current", "sklearn", False),
            ("1", "previous", "sklearn", True),
        ]
        assert [v["not_batched_because"] for v in found["versions"]] == ["for the test", None]
        assert found["in_every_worker"]
        assert len(found["versions"][0]["digest"]) == 64
        assert found["signature"]["inputs"][0] == {"name": "sepal_length", "type": "double", "required": True}

    async def test_an_unknown_model_is_a_404(self, client: httpx.AsyncClient) -> None:
        is_error(await client.get("/models/other"), 404, "RESOURCE_DOES_NOT_EXIST")

    async def test_tensors_and_params_are_described(self, bench: Bench, python_package: Path) -> None:
        bench.serve("onnx")
        bench.serve("python", package=python_package)
        async with bench.open() as http:
            tensors = (await http.get("/models/onnx")).json()["signature"]["inputs"]
            params = (await http.get("/models/python")).json()["signature"]["params"]
        assert [(t["type"], t["shape"]) for t in tensors] == [("float32", [-1, 3])]
        assert params == [{"name": "offset", "type": "double", "default": 0.0}]


class TestToken:
    GUARDED = tuple(p for p in READ if p not in PROBES)

    @pytest.fixture
    async def locked(self, identity_onnx_package: Path) -> AsyncIterator[httpx.AsyncClient]:
        bench = Bench(identity_onnx_package, token="s3cret-ü")
        bench.serve()
        async with bench.open() as http:
            yield http
        await bench.close()

    def refused(self, answer: httpx.Response) -> None:
        is_error(answer, 401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "s3cret" not in answer.text

    @pytest.mark.parametrize("path", [*GUARDED, "/nothing"])
    async def test_nothing_is_read_without_the_token(self, locked: httpx.AsyncClient, path: str) -> None:
        self.refused(await locked.get(path))

    @pytest.mark.parametrize("path", POST)
    async def test_nothing_is_predicted_without_the_token(self, locked: httpx.AsyncClient, path: str) -> None:
        self.refused(await locked.post(path, json=ROWS))

    async def test_the_root_leads_to_the_page_which_asks_for_the_token(self, locked: httpx.AsyncClient) -> None:
        answer = await locked.get("/")
        assert (answer.status_code, answer.headers["location"]) == (307, "docs")
        assert "/docs" in answer.text
        page = await locked.get("/docs")
        assert (page.status_code, "This server asks for a token" in page.text) == (200, True)

    @pytest.mark.parametrize("path", PROBES)
    async def test_probes_need_no_token(self, locked: httpx.AsyncClient, path: str) -> None:
        assert (await locked.get(path)).status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/ping/", "//ping", "/ping/../invocations", "/ping/../metrics", "/PING", "/ping%2f..%2fmetrics", "/ping;x",
            "/models/ping", "/models/m/../../ping", "/%2e/ping", "/readyz/metrics", "/invocations/", "/models/",
        ],
    )  # fmt: skip
    async def test_no_other_way_of_writing_a_path_skips_the_token(self, identity_onnx_package: Path, path: str) -> None:
        bench = Bench(identity_onnx_package, token="s3cret")
        bench.serve()
        bench.open()  # its client would tidy the path up
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            exchange = Exchange(bench.app, path=path, method=method)
            exchange.body(b"{}")
            assert await exchange.status() == 401, method
        await bench.close()

    @pytest.mark.parametrize(
        "value",
        [
            "", "s3cret-ü", "Bearer", "Bearer ", "Bearer s3cret", "Bearer s3cret-üx", "Basic s3cret-ü",
            "Bearers3cret-ü",
            "Bearer S3CRET-Ü", "Token s3cret-ü", "Bearer s3cret-ü,x", "Bearer\ts3cret-ü",
        ],
    )  # fmt: skip
    async def test_a_wrong_token_or_scheme_is_refused(self, locked: httpx.AsyncClient, value: str) -> None:
        self.refused(await locked.get("/metrics", headers={b"authorization": value.encode()}))

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
    async def test_the_right_token_opens_every_path(self, locked: httpx.AsyncClient, scheme: str) -> None:
        headers = {b"authorization": f"{scheme} s3cret-ü".encode()}
        for path in self.GUARDED:
            assert (await locked.get(path, headers=headers)).status_code == 200
        assert (await locked.post("/invocations", json=ROWS, headers=headers)).status_code == 200

    async def test_a_websocket_is_closed(self, bench: Bench) -> None:
        bench.serve()
        bench.open()
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await asyncio.wait_for(bench.app({"type": "websocket", "path": "/ping"}, receive, send), 5)
        assert sent == [{"type": "websocket.close", "code": 1008}]
