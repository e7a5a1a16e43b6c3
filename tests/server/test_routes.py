"""The table of a prediction server's routes, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from penstock.metrics import Metrics
from penstock.server.app import make_app
from penstock.server.targets import INVOCATION_PATHS, SIGNATURE_PATHS
from penstock.serving.gateway import Gateway
from server.asgi import Bench

ENDPOINTS = list(make_app(Gateway([], Metrics(process=False)), predict_route="/p", health_route="/h").routes)


def test_every_route_stands_once() -> None:
    requests = [(method, endpoint.path) for endpoint in ENDPOINTS for method in endpoint.methods]
    assert len(set(requests)) == len(requests)


def test_probes_and_the_page_are_open_and_nothing_else_is() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS if endpoint.needs == "nothing"} == {
        "/ping", "/health", "/livez", "/readyz", "/h", "/", "/docs", "/docs/docs.css", "/docs/docs.js",
    }  # fmt: skip


def test_what_describes_the_server_is_for_the_admin_port() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS if not endpoint.admin_only} == {
        *INVOCATION_PATHS, *SIGNATURE_PATHS, "/p", "/ping", "/health", "/livez", "/readyz", "/h", "/version",
    }  # fmt: skip


async def test_endpoints_with_a_summary_are_in_the_openapi_document(bench: Bench, client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    described = {endpoint.path: endpoint.summary for endpoint in bench.app.routes if endpoint.summary}
    assert described.keys() == {"/models", "/livez", "/readyz", "/metrics", "/version", *SIGNATURE_PATHS}
    for path, summary in described.items():
        assert document["paths"][path]["get"]["summary"] == summary
    assert document["paths"].keys() - described.keys() == {"/invocations", "/models/m/invocations"}


async def test_a_probe_at_the_path_of_predictions_opens_no_prediction(identity_onnx_package: Path) -> None:
    """A path is open for what is open there, and not for every method."""
    bench = Bench(identity_onnx_package, token="secret", health_route="/invocations", predict_route="/ping")
    bench.serve()
    async with bench.open() as client:
        for path in ("/invocations", "/ping"):
            assert (await client.post(path, json={"inputs": [[1, 2, 3]]})).status_code == 401
            assert (await client.get(path)).status_code == 200
    await bench.close()


@pytest.mark.parametrize("path", ["/docs/other", "/docs/../metrics", "/docs/"])
async def test_beside_the_page_nothing_is_open(identity_onnx_package: Path, path: str) -> None:
    bench = Bench(identity_onnx_package, token="secret")
    bench.serve()
    async with bench.open() as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers={"authorization": "Bearer secret"})).status_code != 401
    await bench.close()
