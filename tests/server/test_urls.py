"""Models at URLs of object stores, as a user or a platform names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.artifacts import PackageCache
from penstock.artifacts.remote_files import RemoteFiles
from penstock.artifacts.remote_package import RemotePackage
from penstock.package import PackagedModel
from penstock.package.seal import SEAL
from server.conftest import Launch, ServerProcess
from support.commands import Here, here_in
from support.gcs import gcs_server, gcs_variables

pytest.importorskip("fsspec")

BODY = {"instances": [[1, 2, 3]]}
ANSWER = {"predictions": {"y": [[1.0, 2.0, 3.0]]}}


def put(package: Path, url: str) -> str:
    """Uploads a directory as it is; returns its digest's beginning."""
    opened = PackagedModel.open(package)
    driver: Any = RemoteFiles(url)._store.driver
    for name in [*opened.hashes, SEAL]:
        driver.pipe_file(f"{url}/{name}", (package / name).read_bytes())
    return opened.digest[:12]


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables that lead to a stand-in for Google Cloud Storage, which are set here too."""
    with gcs_server() as endpoint:
        variables = gcs_variables(endpoint)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        from gcsfs.core import GCSFileSystem

        GCSFileSystem.clear_instance_cache()
        yield variables
        GCSFileSystem.clear_instance_cache()


def served(server: ServerProcess) -> tuple[str, str]:
    """Asks the server; the name and version that answered."""
    answer = httpx.post(f"{server.url}/invocations", json=BODY, timeout=30)
    assert answer.json() == ANSWER, answer.text
    return answer.headers["x-model-name"], answer.headers["x-model-version"]


def test_what_vertex_names_is_served_by_all_workers(
    launch: Launch, gcs: dict[str, str], identity_onnx_package: Path, tmp_path: Path
) -> None:
    digest = put(identity_onnx_package, "gs://models/vertex/artifacts")
    vertex = {"AIP_STORAGE_URI": "gs://models/vertex/artifacts/", "AIP_PREDICT_ROUTE": "/predict"}
    server = launch("--workers", 2, PENSTOCK_CACHE=str(tmp_path / "cache"), **gcs, **vertex).wait_ready()
    assert served(server) == ("model", digest)
    answer = httpx.post(f"{server.url}/predict", json={**BODY, "parameters": None}, timeout=30)
    assert answer.json() == ANSWER
    assert "Traceback" not in server.stderr


def test_a_url_is_served_also_while_its_store_is_away(
    launch: Launch, bucket: str, identity_onnx_package: Path, tmp_path: Path
) -> None:
    digest, cache = put(identity_onnx_package, f"{bucket}/m"), tmp_path / "cache"
    RemotePackage(f"{bucket}/m", PackageCache(cache)).fetch()
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "PENSTOCK_CACHE": str(cache)}
    server = launch(f"ours={bucket}/m", **away).wait_ready()
    assert served(server) == ("ours", digest)
    assert f"{bucket}/m cannot be reached; using the package cached on 20" in server.stderr
    assert "Traceback" not in server.stderr


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    run = here_in(tmp_path, monkeypatch, capfd)
    return lambda *words: run(*words, PENSTOCK_CACHE=str(tmp_path / "cache"))


def test_every_command_that_takes_a_model_takes_a_url(
    bucket: str, identity_onnx_package: Path, tmp_path: Path, here: Here
) -> None:
    digest = put(identity_onnx_package, url := f"{bucket}/same")

    def penstock(*words: str) -> str:
        done = here(*words)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    assert digest in penstock("inspect", url)
    assert f"files match the seal ({digest})" in penstock("verify", url)
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n")
    penstock("score", f"s={url}", "rows.csv", "-o", "scores.csv")
    assert (tmp_path / "scores.csv").read_text().splitlines()[1:] == ["1,2,3"]
    assert f"model ({digest})" in penstock("image", url, "-o", "context")
    assert penstock("registry", "add", "same", url).startswith("Registered version 1 of same.\n")
    assert f"{digest}, onnx" in penstock("doctor", url)
    assert len(list((tmp_path / "cache").glob("*/*/MLmodel"))) == 1


def test_code_from_a_url_wants_trust(bucket: str, python_package: Path, here: Here) -> None:
    put(python_package, url := f"{bucket}/adder")
    refused = here("verify", url)
    assert refused.returncode == 1
    assert "--trust-code" in refused.stderr
    assert here("verify", url, "--trust-code").returncode == 0
