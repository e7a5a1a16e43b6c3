"""A script changes one word: `penstock score` where `mlflow models predict` stood, the same bytes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.tools import give_up

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
MLFLOW = ROOT / ".venv-mlflow" / "bin" / "mlflow"


@pytest.fixture(scope="module")
def mlflow() -> Path:
    if not MLFLOW.exists():
        give_up("MLflow's environment is missing: make mlflow-env")
    return MLFLOW


@pytest.mark.parametrize("case", ["records", "csv", "onnx arrays"])
def test_score_writes_the_same_bytes_as_mlflow(
    mlflow: Path, iris_package: Path, iris_onnx_package: Path, iris_frame: Any, tmp_path: Path, case: str
) -> None:
    package = iris_onnx_package if case == "onnx arrays" else iris_package
    source = tmp_path / "in"
    if case == "csv":
        source.write_text(iris_frame.to_csv(index=False))
    elif case == "records":
        source.write_text(json.dumps({"dataframe_records": iris_frame.to_dict(orient="records")}))
    else:
        source.write_text(json.dumps({"inputs": iris_frame.to_numpy().tolist()}))
    words = ["-m", str(package), "-i", str(source), "-t", "csv" if case == "csv" else "json", "--env-manager", "local"]

    subprocess.run([mlflow, "models", "predict", *words, "-o", tmp_path / "theirs"], check=True, capture_output=True)
    ours = [sys.executable, "-m", "penstock", "score", *words, "-o", str(tmp_path / "ours")]
    subprocess.run(ours, check=True, capture_output=True)

    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
