"""The image, built and run for real: as Kubernetes, SageMaker and Vertex AI would run it."""

from __future__ import annotations

import asyncio
import importlib
import json
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from penstock import __version__
from penstock.artifacts.remote_files import RemoteFiles
from penstock.package.needs.model_needs import Needs
from penstock.package.save import save_model
from penstock.package.seal import list_files
from services.containers import (
    ROOT,
    Container,
    build,
    inspect,
    make_base,
    new_volume,
    output_of,
    readable,
    require_tools,
    running,
)
from services.kubernetes_page import PAGE, blocks, commands
from services.make_tools import TOOLS
from services.mlflow_servers import client_of, require_mlflow
from services.tools import give_up
from support.gcs import gcs_server, gcs_variables

pytestmark = pytest.mark.services

HADOLINT = TOOLS / "python" / "bin" / "hadolint"

# Megabytes of what the Dockerfile adds to Python's own image.
MOST = {"full": 750, "onnx": 380}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> None:
    require_tools()
    make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def full(base: None) -> str:
    return build(ROOT, f"localhost/penstock:{__version__}", target="full")


@pytest.fixture(scope="module")
def onnx(base: None) -> str:
    return build(ROOT, f"localhost/penstock:{__version__}-onnx", target="onnx")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that every user may enter."""
    made = tmp_path_factory.mktemp("shared")
    for path in (made, *made.parents):
        if path.stat().st_mode & 0o005 != 0o005 and path.owner() == "root":
            path.chmod(path.stat().st_mode | 0o055)
    return made


def example(package: Path) -> Any:
    return json.loads((package / "serving_input_example.json").read_bytes())


def instances(package: Path) -> list[Any]:
    """The example's rows as Vertex AI sends them."""
    rows = example(package)
    if "inputs" in rows:
        return list(rows["inputs"])
    split = rows["dataframe_split"]
    return [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]


@pytest.mark.parametrize("target", ["full", "onnx"])
def test_the_image_is_small_and_runs_as_an_ordinary_user(target: str, request: pytest.FixtureRequest) -> None:
    image = request.getfixturevalue(target)
    told = inspect(image)
    config = told["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["penstock"]
    assert "8080/tcp" in config["ExposedPorts"]
    mine = told["Size"] - inspect("docker.io/library/python:3.11-slim-bookworm")["Size"]
    assert mine < MOST[target] * 1e6
    assert __version__ in output_of(image, "version")


def test_the_image_has_no_installer_no_compiler_and_no_privileges(full: str, iris_package: Path, place: Path) -> None:
    with running(full, "serve", "/models/iris", volumes={readable(iris_package, place): "/models/iris"}) as container:
        container.wait_ready()
        for program in ("gcc", "cc", "/opt/penstock/bin/pip"):
            assert container.exec("which", program).returncode != 0
        assert container.exec("touch", "/x").returncode != 0
        assert container.exec("id", "-u").stdout.strip() == "10001"
        capabilities = container.exec("grep", "CapEff", "/proc/self/status").stdout.split()
        assert capabilities == ["CapEff:", "0" * 16]


def test_the_onnx_image_has_no_scikit_learn(onnx: str, iris_onnx_package: Path, place: Path) -> None:
    volumes = {readable(iris_onnx_package, place): "/models/iris"}
    with running(onnx, "serve", "/models/iris", volumes=volumes) as container:
        container.wait_ready()
        answer = httpx.post(f"{container.url}/invocations", json=example(iris_onnx_package))
        assert answer.status_code == 200, answer.text
        assert container.exec("python", "-c", "import sklearn").returncode != 0
        # The command of the HEALTHCHECK, which podman's own timers would need systemd for.
        assert container.exec(*inspect(onnx)["Healthcheck"]["Test"][1:]).returncode == 0
        assert container.exec("penstock", "doctor", "/models/iris").returncode == 0


async def test_a_container_drains_without_a_failed_request(full: str, iris_package: Path, place: Path) -> None:
    """Clients go on until an answer says that the connection closes; none of their requests fails."""
    volumes = {readable(iris_package, place): "/models/iris"}
    with running(full, "serve", "/models/iris", volumes=volumes, PENSTOCK_DRAIN_DELAY="2") as container:
        container.wait_ready()
        body = example(iris_package)
        statuses: list[int] = []
        busy = asyncio.Event()

        async def client(http: httpx.AsyncClient) -> None:
            while True:
                answer = await http.post(f"{container.url}/invocations", json=body)
                statuses.append(answer.status_code)
                if len(statuses) > 200:
                    busy.set()
                if answer.headers.get("connection") == "close":
                    return

        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=16), timeout=30) as http:
            clients = [asyncio.create_task(client(http)) for _ in range(16)]
            await asyncio.wait_for(busy.wait(), 60)
            code = await asyncio.to_thread(container.stop)
            await asyncio.wait_for(asyncio.gather(*clients), 60)
        assert code == 0, container.logs()
        assert set(statuses) == {200}


def test_the_image_answers_as_sagemaker_runs_it(full: str, iris_package: Path, place: Path) -> None:
    """`docker run IMAGE serve`, with the model unpacked at /opt/ml/model."""
    volumes = {readable(iris_package, place): "/opt/ml/model"}
    with running(full, "serve", port=8081, volumes=volumes, SAGEMAKER_BIND_TO_PORT="8081") as container:
        container.wait_ready("/ping")
        answer = httpx.post(f"{container.url}/invocations", json=example(iris_package))
        assert answer.status_code == 200, answer.text
        assert container.stop() == 0


def run_penstock(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["full", "onnx"])
def test_an_image_with_a_model_answers_as_vertex_runs_it(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, iris_package: Path, iris_onnx_package: Path
) -> None:
    image = request.getfixturevalue(kind)
    package = iris_package if kind == "full" else iris_onnx_package
    context = tmp_path / "context"
    run_penstock("image", f"flowers={package}", "-o", context, "--base", image)
    built = build(context, f"localhost/flowers-{kind}:test")
    aip: dict[str, Any] = {
        "AIP_HTTP_PORT": "9000",
        "AIP_PREDICT_ROUTE": "/v1/predict",
        "AIP_HEALTH_ROUTE": "/v1/health",
    }
    with running(built, port=9000, **aip) as container:
        container.wait_ready("/v1/health")
        rows = instances(package)
        answer = httpx.post(f"{container.url}/v1/predict", json={"instances": rows, "parameters": None})
        assert answer.status_code == 200, answer.text
        predictions = answer.json()["predictions"]
        first = next(iter(predictions.values())) if isinstance(predictions, dict) else predictions
        assert len(first) == len(rows)
        assert answer.headers["x-model-name"] == "flowers"


def test_the_image_loads_the_bucket_that_vertex_names(
    onnx: str, iris_onnx_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain image: Vertex AI names a bucket of its own, here a stand-in on this machine."""
    with gcs_server("0.0.0.0") as endpoint:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
        driver: Any = RemoteFiles("gs://models")._store.driver
        for name in list_files(iris_onnx_package):
            driver.pipe_file(f"gs://models/artifacts/{name}", (iris_onnx_package / name).read_bytes())
        reached = endpoint.replace("127.0.0.1", "host.containers.internal")
        aip: dict[str, Any] = {
            "AIP_HTTP_PORT": "9000",
            "AIP_PREDICT_ROUTE": "/v1/predict",
            "AIP_HEALTH_ROUTE": "/v1/health",
        }
        variables: dict[str, Any] = {**aip, "AIP_STORAGE_URI": "gs://models/artifacts", "PENSTOCK_CACHE": "/tmp/cache"}
        with running(onnx, port=9000, **(variables | gcs_variables(reached))) as container:
            container.wait_ready("/v1/health")
            answer = httpx.post(f"{container.url}/v1/predict", json={"instances": instances(iris_onnx_package)})
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-model-name"] == "model"


def hub(image: str, volume: str, **variables: str) -> AbstractContextManager[Container]:
    """As the chart runs it."""
    place = "/var/lib/penstock"
    given: dict[str, Any] = {"PENSTOCK_STORE": place, "HOME": "/tmp", **variables}
    return running(image, "hub", port=5000, kept={volume: place}, **given)


def test_the_image_runs_a_hub_that_the_stock_client_logs_to(full: str) -> None:
    """And what was logged is on the volume, for the container after it."""
    require_mlflow()
    admin = {"PENSTOCK_HUB_ADMIN_TOKEN": secrets.token_hex(32)}
    with new_volume() as volume:
        with hub(full, volume) as closed:
            wait_until(lambda: "needs tokens" in closed.logs(), closed)
            assert closed.stop() == 2
        with hub(full, volume, **admin) as container:
            container.wait_ready("/health")
            assert container.exec("penstock", "ping", "--hub").stdout == "OK\n"
            assert container.exec("touch", "/x").returncode != 0
            assert container.exec("id", "-u").stdout.strip() == "10001"
            (line,) = [line for line in commands("kubectl") if " exec " in line and "-hub " in line]
            token = container.exec(*shlex.split(line.partition(" -- ")[2])).stdout.strip()
            with client_of(container.url, {"MLFLOW_TRACKING_TOKEN": token}) as client:
                logged = client.log(name="fraud")
            assert container.stop() == 0, container.logs()
        with hub(full, volume, **admin) as again:
            again.wait_ready("/health")
            found = httpx.get(
                f"{again.url}/api/2.0/mlflow/runs/get?run_id={logged['run']}",
                headers={"Authorization": f"Bearer {token}"},
            )
            assert found.json()["run"]["info"]["status"] == "FINISHED"
            assert again.stop() == 0


def test_the_small_image_runs_a_hub_too(onnx: str) -> None:
    with new_volume() as volume, hub(onnx, volume, PENSTOCK_HUB_OPEN_TO_EVERYBODY="1") as container:
        container.wait_ready("/health")
        assert container.stop() == 0, container.logs()


MODULE = """
from sortedcontainers import SortedList


CLASSES = SortedList([10.0, 20.0, 30.0])


def ranked(rows):
    return [[CLASSES.bisect_left(each)] for each in rows["spent"]]
"""
# As the chart writes it, of the page's values.
FOLLOWING = """
port = 8080
admin_port = 8081
registry = "/registry"
[models.churn]
model = "models:/churn@champion"
trust_code = true
"""


@pytest.fixture
def ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose pickle names shop_features.ranked and has no code of it, as training code logs it to MLflow; and
    beside it what an image of one's own is made of."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "shop_features.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    rows = pd.DataFrame({"spent": [30.0, 10.0, 20.0]})
    ranked = importlib.import_module("shop_features").ranked
    model = make_pipeline(FunctionTransformer(ranked), LinearRegression()).fit(rows, [2.0, 0.0, 1.0])
    with patch.object(Needs, "check"):  # which says that the package lacks the module; MLflow does not look
        save_model(model, tmp_path / "churn", example=rows)
    del sys.modules["shop_features"]
    (tmp_path / "requirements.txt").write_text("sortedcontainers==2.4.0\n")
    (tmp_path / "Dockerfile").write_text(blocks("dockerfile")[0])
    return tmp_path / "churn"


def test_an_image_with_own_libraries_and_modules_follows_a_registry(full: str, ranking: Path, place: Path) -> None:
    """The Dockerfile of docs/kubernetes.md. The image that it builds on cannot load this model, and says why."""
    registry = place / "registry"
    (place / "etc").mkdir()
    (place / "etc" / "penstock.toml").write_text(FOLLOWING)

    def registered() -> None:
        run_penstock("registry", "add", "churn", ranking, "--alias", "champion", "--registry", registry)
        for path in (registry, *registry.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    registered()
    mounted: dict[str, Any] = {"volumes": {registry: "/registry", place / "etc": "/etc/penstock"}}
    variables: dict[str, Any] = {
        "PENSTOCK_CONFIG": "/etc/penstock/penstock.toml",
        "PENSTOCK_CACHE": "/tmp/cache",
        "HOME": "/tmp",
    }
    built = build(ranking.parent, "localhost/penstock-own:test")
    with running(full, "serve", **mounted, **variables) as container:
        wait_until(lambda: "shop_features" in container.logs(), container)
        assert container.stop() == 1
    with running(built, "serve", **mounted, **variables) as container:
        container.wait_ready()
        assert httpx.get(f"{container.url}/readyz").text in PAGE.read_text()
        asked: dict[str, Any] = {"url": f"{container.url}/models/churn/invocations", "json": example(ranking)}
        answer = httpx.post(**asked)
        assert answer.json()["predictions"] == pytest.approx([2, 0, 1]), answer.text
        # Those for the gateway's pods; the hub's are tried in a hub's container.
        for line in [line for line in commands("kubectl") if " exec " in line and "-hub " not in line]:
            done = container.exec(*shlex.split(line.partition(" -- ")[2]))
            assert done.returncode == 0, done.stdout + done.stderr
        registered()
        wait_until(lambda: httpx.post(**asked).headers["x-model-version"] == "2", container)


def wait_until(true: Callable[[], bool], container: Container, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.1)


def test_the_linter_finds_nothing(tmp_path: Path, iris_package: Path) -> None:
    if not HADOLINT.exists():
        give_up("hadolint is missing: make services-tools")
    run_penstock("image", iris_package, "-o", tmp_path / "context")
    (tmp_path / "own").write_text(blocks("dockerfile")[0])
    files = [ROOT / "Dockerfile", tmp_path / "context" / "Dockerfile", tmp_path / "own"]
    done = subprocess.run([HADOLINT, *files], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
