"""The MLflow environment, for the tests that need the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.missing import require

MLFLOW = Path(__file__).parents[2] / ".venv-mlflow"


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    return require(MLFLOW / "bin" / "python", "MLflow's environment", "make mlflow-env")


@pytest.fixture(scope="session")
def mlflow_site_packages(mlflow_python: Path) -> Path:
    (place,) = mlflow_python.parents[1].glob("lib/python*/site-packages")
    return place
