"""The table of a prediction server's routes, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from penstock.access.credentials import digest_of
from penstock.access.policy import GATEWAY_ROLES
from penstock.access.principal import Principal
from penstock.access.tokens import KnownTokens
from penstock.http.authorizer import Authorizer
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


@pytest.fixture(scope="module")
def roles() -> dict[str, KnownTokens]:
    return {role: KnownTokens({digest_of("t"): Principal("t", frozenset({role}))}) for role in GATEWAY_ROLES}


@pytest.mark.parametrize("role", [*GATEWAY_ROLES, "stranger"])
async def test_every_route_admits_the_roles_of_the_table_and_no_other(
    identity_onnx_package: Path, roles: dict[str, KnownTokens], role: str
) -> None:
    access = Authorizer(roles.get(role, KnownTokens({})))
    bench = Bench(identity_onnx_package, access=access, predict_route="/p", health_route="/h")
    bench.serve("m")
    async with bench.open() as client:
        for endpoint in ENDPOINTS:
            path = endpoint.path.replace("{name}", "m").replace("{version}", "1")
            for method in endpoint.methods:
                sent = {"headers": {"authorization": "Bearer t"}, "content": b"{}" if method == "POST" else b""}
                answer = await client.request(method, path, **sent)  # type: ignore[arg-type]
                enough = endpoint.needs in ("nothing", role) or role == "admin"
                enough = enough or (endpoint.needs == "token" and role != "stranger")
                refused = 401 if role == "stranger" else 403
                assert (answer.status_code == refused) == (not enough), (method, path, answer.status_code)
                assert enough or f"needs the role {endpoint.needs}" in answer.text or role == "stranger"
    await bench.close()
