"""Environments from the package index: models made with conflicting versions of scikit-learn, side by side."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from penstock.environments import Environments
from penstock.package import PackagedModel
from penstock.package.seal import write_seal

pytestmark = pytest.mark.services

VERSIONS = ("1.6.1", "1.7.2")

# Run by each environment's own Python.
TRAIN = """
import sys, joblib, sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
rows, labels = load_iris(return_X_y=True)
joblib.dump(RandomForestClassifier(5, random_state=0).fit(rows, labels), sys.argv[1])
print(sklearn.__version__)
"""
# What MLflow calls a loader module: it says which library answers.
LOADER = """
import joblib, sklearn
from pathlib import Path


class Model:
    def __init__(self, path):
        self.estimator = joblib.load(Path(path) / "model.pkl")

    def predict(self, rows):
        return [f"{sklearn.__version__}: {label}" for label in self.estimator.predict(rows)]


def _load_pyfunc(path):
    return Model(path)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


def package(place: Path, version: str) -> Path:
    """A package that was made with this version, by it."""
    made = place / f"iris-{version}"
    (made / "code").mkdir(parents=True)
    (made / "code" / "answering.py").write_text(LOADER)
    (made / "requirements.txt").write_text(f"scikit-learn=={version}\n")
    flavor = {"loader_module": "answering", "code": "code", "env": {"virtualenv": "python_env.yaml"}}
    signature = '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]'
    (made / "MLmodel").write_text(
        yaml.safe_dump({"flavors": {"python_function": flavor}, "signature": {"inputs": signature, "outputs": None}})
    )
    (made / "python_env.yaml").write_text(yaml.safe_dump({"dependencies": ["-r requirements.txt"]}))
    environments = Environments(place / "cache" / "environments")
    environment = environments.ensure(PackagedModel.open(made), trust_code=True)
    trained = subprocess.run(
        [environment.python, "-c", TRAIN, made / "model.pkl"], capture_output=True, text=True, check=True
    )
    assert trained.stdout.strip() == version
    environments.close()
    write_seal(made)
    return made


def ask(url: str, name: str) -> list[str]:
    body = json.dumps({"inputs": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}).encode()
    request = urllib.request.Request(f"{url}/models/{name}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return list(json.loads(answer.read())["predictions"])


def test_conflicting_versions_of_scikit_learn_are_served_and_scored_side_by_side(place: Path) -> None:
    packages = {f"m{version[2]}": package(place, version) for version in VERSIONS}
    shell = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    shell |= {"PENSTOCK_CACHE": str(place / "cache"), "PENSTOCK_TRUST_CODE": "1", "PENSTOCK_ENV_MANAGER": "uv"}
    command = [sys.executable, "-m", "penstock", "serve", "--port", "0"]
    command += [f"{name}={path}" for name, path in packages.items()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=shell, cwd=place) as server:
        assert server.stdout is not None
        try:
            found = re.fullmatch(r"serving on (\S+)\n", server.stdout.readline())
            assert found
            for name, version in zip(packages, VERSIONS, strict=True):
                assert ask(found[1], name) == [f"{version}: 0", f"{version}: 2"]
            with urllib.request.urlopen(f"{found[1]}/metrics", timeout=30) as answer:
                lines = answer.read().decode().split("\n")
            built = 'penstock_load_stage_seconds_count{model="%s",outcome="ok",stage="environment"} 1.0'
            assert {built % name for name in packages} <= set(lines)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    rows = "a,b,c,d\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"
    (place / "rows.csv").write_text(rows)
    for (name, path), version in zip(packages.items(), VERSIONS, strict=True):
        scored = place / f"{name}.csv"
        score = [sys.executable, "-m", "penstock", "score", str(path), "rows.csv", "-o", str(scored)]
        subprocess.run(score, check=True, env=shell, cwd=place, capture_output=True)
        assert scored.read_text().split("\n")[1:3] == [f"{version}: 0", f"{version}: 2"]


def test_a_locked_package_names_no_index(place: Path) -> None:
    made = place / "locked-source"
    made.mkdir()
    (made / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}\n")
    (made / "model.onnx").touch()
    (made / "requirements.txt").write_text("onnxruntime\n")
    shell = {**os.environ, "PENSTOCK_CACHE": str(place / "cache")}
    lock = [sys.executable, "-m", "penstock", "package", "lock", str(made), "-o", str(place / "locked")]
    subprocess.run(lock, check=True, env=shell, cwd=place, capture_output=True)
    text = (place / "locked" / "requirements.lock").read_text()
    assert "onnxruntime==" in text
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
def test_a_full_disk_leaves_no_environment(place: Path) -> None:
    small = place / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", small], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        made = place / "large"
        made.mkdir()
        (made / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}\n")
        (made / "model.onnx").touch()
        shell = {**os.environ, "PENSTOCK_CACHE": str(small)}
        build = [sys.executable, "-m", "penstock", "env", "build", str(made)]
        done = subprocess.run(build, env=shell, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "penstock env prune" in done.stderr
        left = [path.name for path in (small / "environments").iterdir() if path.is_dir()]
        assert set(left) <= {"uv", "resolved"}
    finally:
        subprocess.run(["umount", small], check=True)
