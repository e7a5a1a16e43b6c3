"""Packages whose loader is MLflow's own, loaded through an installed MLflow."""

from __future__ import annotations

import json
import os
import pickle
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LinearRegression

pytestmark = pytest.mark.services

RECORDED = Path(__file__).parents[1] / "flavors" / "mlflow_packages"


def asked(site_packages: Path, cases: list[tuple[Path, Any]]) -> list[dict[str, Any]]:
    """What a process says that has Penstock and MLflow."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("load_through_mlflow.py"), site_packages],
        input=json.dumps([{"package": str(package), "body": body} for package, body in cases]),
        capture_output=True, text=True, timeout=300, env={**os.environ, "MLFLOW_TRACKING_URI": "file:///nowhere"},
    )  # fmt: skip
    found = [json.loads(line[8:]) for line in done.stdout.splitlines() if line.startswith("OUTCOME ")]
    assert len(found) == len(cases), done.stderr[-3000:]
    return found


@pytest.fixture(scope="module")
def here(mlflow_site_packages: Path) -> Path:
    if mlflow_site_packages.parent.name != f"python{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip(f"MLflow's environment is of another Python: {mlflow_site_packages.parent.name}")
    return mlflow_site_packages


def test_python_models_answer_as_recorded(here: Path) -> None:
    """The same packages and answers that the stand-ins are held to."""
    if platform.python_version_tuple()[:2] != ("3", "11"):
        pytest.skip("code pickled by value loads on the minor version of Python that pickled it")
    names = sorted(path.stem for path in RECORDED.glob("*.json"))
    cases = [(name, case) for name in names for case in json.loads((RECORDED / f"{name}.json").read_text())]
    outcomes = asked(here, [(RECORDED / name, case["body"]) for name, case in cases])
    for (name, case), found in zip(cases, outcomes, strict=True):
        if "answer" in case:
            assert found.get("answer") == case["answer"], (name, case["body"], found)
        else:
            assert found["error"] in ("SchemaViolation", "PredictError", "MalformedInput"), (name, case["body"], found)


def flavor(place: Path, loader: str, content: bytes, **settings: Any) -> Path:
    """A package as MLflow writes it for another library."""
    place.mkdir()
    (place / "model.bin").write_bytes(content)
    signature = {"inputs": '[{"name": "a", "type": "double", "required": true}]', "outputs": None, "params": None}
    function = {"loader_module": loader, "data": "model.bin", "env": {"conda": "conda.yaml"}, "predict_fn": "predict"}
    flavors = {"python_function": function, loader.split(".")[1]: {"data": "model.bin", **settings}}
    (place / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "signature": signature}))
    return place


def test_a_flavor_that_penstock_does_not_know_answers_through_mlflow(here: Path, tmp_path: Path) -> None:
    """MLflow's lightgbm loader reads models of LightGBM's scikit-learn interface with its sklearn loader, so that any
    estimator does, and LightGBM itself is not needed."""
    estimator = LinearRegression().fit(np.array([[0.0], [1.0]]), [1.0, 3.0])
    settings = {"model_class": "lightgbm.sklearn.LGBMRegressor", "serialization_format": "pickle"}
    package = flavor(tmp_path / "fitted", "mlflow.lightgbm", pickle.dumps(estimator), **settings)
    bodies = [{"dataframe_records": [{"a": 1.5}, {"a": 2}]}, {"dataframe_records": [{"b": 1.5}]}]
    answered, refused = asked(here, [(package, body) for body in bodies])
    assert answered["answer"]["predictions"] == pytest.approx([4.0, 5.0])
    assert refused["error"] == "SchemaViolation"


@pytest.mark.parametrize(("loader", "library"), [("mlflow.lightgbm", "lightgbm"), ("mlflow.xgboost", "xgboost")])
def test_a_library_that_is_missing_is_named(here: Path, tmp_path: Path, loader: str, library: str) -> None:
    package = flavor(tmp_path / "other", loader, b"")
    (found,) = asked(here, [(package, {"dataframe_records": [{"a": 1.0}]})])
    assert found["error"] == "CodeMissing"
    assert f"the module {library!r}, which is not installed" in found["message"]
