"""What the chart renders of a hub, run: with its very arguments, environment and probes. The stock MLflow client logs
to it, and the release's gateway follows it."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chart import objects_of, one, render
from services.mlflow_servers import client_of, free_port, require_mlflow
from services.pod import Pod

pytestmark = pytest.mark.services

ADMIN, READ = secrets.token_hex(32), secrets.token_hex(32)
SECRETS = {"penstock-hub": {"admin-token": f"{ADMIN}\n", "read-token": READ}}
AUTH = {"existingSecret": "penstock-hub", "readKey": "read-token"}

Objects = list[dict[str, Any]]
Run = Callable[..., Pod]


def rendered(port: int, more: dict[str, Any] | None = None, **hub: Any) -> Objects:
    given = {"enabled": True, "auth": AUTH, "port": port, "drainDelay": 1, "drainTimeout": 10, "accessLog": True, **hub}
    return objects_of(render(values={"hub": given, "serviceMonitor": {"enabled": True}, **(more or {})}))


def pod_spec(objects: Objects, kind: str, ending: str) -> dict[str, Any]:
    spec: dict[str, Any] = one(objects, kind, ending)["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Run]:
    """Starts a container as rendered and waits for its startup probe; `data` is the claim's directory."""
    started: list[Pod] = []

    def make(spec: dict[str, Any], environment: dict[str, str] | None = None, **options: Any) -> Pod:
        pod = Pod(spec, tmp_path / f"pod{len(started)}", **{"secrets": SECRETS, **options})
        pod.environment |= environment or {}
        started.append(pod)
        pod.start()
        pod.wait_started()
        return pod

    yield make
    for pod in started:
        pod.stop()


def ended(pod: Pod) -> int:
    assert pod.process is not None
    pod.process.send_signal(signal.SIGTERM)
    return pod.process.wait(pod.grace)


def test_the_stock_client_logs_to_it_and_the_releases_gateway_follows_it(start: Run, tmp_path: Path) -> None:
    """And the pod that comes after it finds on the claim what there was."""
    require_mlflow()
    port, data = free_port(), tmp_path / "claim"
    settings = {"port": free_port(), "admin_port": free_port(), "poll_interval": 0.2}
    models = {"fraud": {"model": "models:/fraud@champion"}}
    objects = rendered(port, {"models": models, "settings": settings}, followed=True)
    hub_spec, url = pod_spec(objects, "Deployment", "-hub"), f"http://127.0.0.1:{port}"
    hub = start(hub_spec, mounts={"data": data})
    assert hub.probe("readinessProbe")
    assert hub.probe("livenessProbe")
    with client_of(url, {"MLFLOW_TRACKING_TOKEN": ADMIN}) as client:
        logged = client.log(name="fraud", width=2)
        client.alias(name="fraud", alias="champion", version=logged["version"])
    assert httpx.get(f"{url}/api/2.0/mlflow/experiments/search?max_results=1").status_code == 401
    gateway = pod_spec(objects, "Deployment", "r-penstock")
    maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    # Here is no DNS that knows the Service.
    following = start(gateway, {"PENSTOCK_REGISTRY": url}, config_maps=maps)
    asked: dict[str, Any] = {
        "url": f"http://127.0.0.1:{settings['port']}/models/fraud/invocations",
        "json": {"inputs": [[1, 2]]},
    }
    assert httpx.post(**asked).json() == {"predictions": {"y": [[1, 2]]}}
    assert ended(hub) == 0, hub.stderr
    again = start(hub_spec, mounts={"data": data})
    as_reader = {"Authorization": f"Bearer {READ}"}
    found = httpx.get(f"{url}/api/2.0/mlflow/runs/get?run_id={logged['run']}", headers=as_reader)
    assert found.json()["run"]["info"]["status"] == "FINISHED"
    assert httpx.post(**asked).status_code == 200
    assert (ended(following), ended(again)) == (0, 0), following.stderr + again.stderr
    lines = [json.loads(line) for line in again.stderr.splitlines() if line.startswith("{")]
    assert any("environment:read" in line.values() for line in lines), lines


def test_prometheus_scrapes_it_as_rendered_and_it_drains(start: Run, tmp_path: Path) -> None:
    port = free_port()
    objects = rendered(port)
    hub = start(pod_spec(objects, "Deployment", "-hub"), mounts={"data": tmp_path / "claim"})
    (endpoint,) = one(objects, "ServiceMonitor", "-hub")["spec"]["endpoints"]
    reference = endpoint["authorization"]["credentials"]
    token = SECRETS[reference["name"]][reference["key"]]
    (target,) = one(objects, "Service", "-hub")["spec"]["ports"]
    assert target["name"] == endpoint["port"]
    url = f"http://127.0.0.1:{hub.port(target['targetPort'])}"
    scraped = httpx.get(f"{url}{endpoint['path']}", headers={"Authorization": f"Bearer {token}"})
    assert "penstock_hub_ready 1.0" in scraped.text
    assert 'penstock_hub_disk_free_bytes{place="store"}' in scraped.text
    assert hub.process is not None
    hub.process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    while httpx.get(f"{url}/health").headers.get("connection") != "close":
        assert time.monotonic() < begin + 10
    assert hub.process.wait(hub.grace) == 0, hub.stderr
    assert time.monotonic() - begin < hub.grace


def test_postgresql_is_migrated_before_the_hub_starts(start: Run, tmp_path: Path, postgres_url: str) -> None:
    """By the Job of the chart; a hub that comes earlier says what is missing, and ends."""
    known = {**SECRETS, "db": {"url": postgres_url}}
    store = {"existingSecret": "db", "urlKey": "url"}
    more: dict[str, Any] = {"store": store, "replicaCount": 2, "persistence": {"accessModes": ["ReadWriteMany"]}}
    # Two pods of one machine, which need two ports.
    objects, others = (rendered(free_port(), **more) for _ in range(2))
    spec = pod_spec(objects, "Deployment", "-hub")
    mounts = {"data": tmp_path / "claim"}
    early = Pod(spec, tmp_path / "early", secrets=known, mounts=mounts)
    assert early.run() == 1
    assert "penstock hub migrate" in early.stderr  # the variable has the store there, too
    migrate = Pod(pod_spec(objects, "Job", "-hub-migrate"), tmp_path / "migrate", secrets=known)
    assert migrate.run() == 0, migrate.stderr
    first = start(spec, secrets=known, mounts=mounts)
    second = start(pod_spec(others, "Deployment", "-hub"), secrets=known, mounts=mounts)
    headers = {"Authorization": f"Bearer {ADMIN}"}
    first_url, second_url = (f"http://127.0.0.1:{pod.port('http')}" for pod in (first, second))
    made = httpx.post(f"{first_url}/api/2.0/mlflow/experiments/create", json={"name": "shared"}, headers=headers)
    found = httpx.get(
        f"{second_url}/api/2.0/mlflow/experiments/get?experiment_id={made.json()['experiment_id']}", headers=headers
    )
    assert found.json()["experiment"]["name"] == "shared"
    assert (ended(first), ended(second)) == (0, 0)
