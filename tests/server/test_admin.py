"""--admin-port: metrics, model listings and docs on a port of their own, with one process and with several."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from server.asgi import Bench
from server.conftest import Launch, samples
from serving.fakes import until

MOVED = ("/metrics", "/models", "/models/m", "/openapi.json", "/docs", "/docs/docs.js")
EVERYWHERE = ("/livez", "/readyz", "/ping", "/health", "/version")
ROWS = {"inputs": [[1.0, 2.0, 3.0]]}


class TestTheApplication:
    @pytest.fixture
    def bench(self, identity_onnx_package: Path) -> Bench:
        bench = Bench(identity_onnx_package, admin_port=8081)
        bench.serve()
        return bench

    async def test_the_main_port_has_predictions_and_probes(self, bench: Bench) -> None:
        async with bench.open() as client:
            for path in MOVED:
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND"), path
            for path in EVERYWHERE:
                assert (await client.get(path)).status_code == 200, path
            assert (await client.post("/invocations", json=ROWS)).status_code == 200
            assert (await client.get("/invocations")).status_code == 405
        await bench.close()

    async def test_the_admin_port_has_everything_since_docs_try_predictions(self, bench: Bench) -> None:
        async with bench.open() as client:
            for path in (*MOVED, *EVERYWHERE):
                assert (await client.get(f"http://test:8081{path}")).status_code == 200, path
            assert (await client.post("http://test:8081/invocations", json=ROWS)).status_code == 200
        await bench.close()

    async def test_both_ports_ask_for_the_token(self, identity_onnx_package: Path) -> None:
        bench = Bench(identity_onnx_package, admin_port=8081, token="secret")
        bench.serve()
        async with bench.open() as client:
            assert (await client.get("http://test:8081/metrics")).status_code == 401
            assert (await client.get("/metrics")).status_code == 401
            client.headers["authorization"] = "Bearer secret"
            assert (await client.get("http://test:8081/metrics")).status_code == 200
            assert (await client.get("/metrics")).status_code == 404
        await bench.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_real_server_answers_and_drains_on_both_ports(
    launch: Launch, identity_onnx_package: Path, workers: int
) -> None:
    server = launch(identity_onnx_package, "--admin-port", 0, "-w", workers, "--drain-delay", 20).wait_ready()
    name = identity_onnx_package.name
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(*(client.post(f"{server.url}/invocations", json=ROWS) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert (await client.get(f"{server.url}/metrics")).status_code == 404
        metrics = (await client.get(f"{server.admin_url}/metrics")).text
        assert samples(metrics, "penstock_requests_total", outcome="ok") == 8
        assert (await client.get(f"{server.admin_url}/models/{name}")).json()["ready"] is True
        server.signal()
        await until(lambda: httpx.get(f"{server.admin_url}/readyz").status_code == 503, seconds=30)  # both ports say so
        assert (await client.get(f"{server.url}/readyz")).status_code == 503
        assert (await client.get(f"{server.admin_url}/livez")).status_code == 200
    server.signal()  # enough seen: a second one stops it at once
    server.wait_exit(60)


def test_one_port_for_both_is_refused(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package).wait_ready()
    busy = server.url.rpartition(":")[2]
    other = launch(identity_onnx_package, "--admin-port", busy)
    assert other.wait_exit(60) == 2
    assert "Choose another --admin-port" in other.stderr
