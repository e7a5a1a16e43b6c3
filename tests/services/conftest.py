"""The MLflow environment, for the tests that need the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.tools import give_up

MLFLOW = Path(__file__).parents[2] / ".venv-mlflow"


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    python = MLFLOW / "bin" / "python"
    if not python.exists():
        give_up("MLflow's environment is missing: make mlflow-env")
    return python


@pytest.fixture(scope="session")
def mlflow_site_packages(mlflow_python: Path) -> Path:
    (place,) = mlflow_python.parents[1].glob("lib/python*/site-packages")
    return place
