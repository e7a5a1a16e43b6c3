"""MLflow's own client, unchanged, does all it can with a hub process: the cases of MLflow's test of its server, and the
fluent API as people use it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from services.hub_process import hub_process

pytestmark = pytest.mark.services


def test_every_case_passes(mlflow_python: Path, tmp_path: Path) -> None:
    with hub_process(tmp_path) as url:
        variables = {
            "MLFLOW_TRACKING_URI": url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true",
            "MPLCONFIGDIR": str(tmp_path), "GIT_PYTHON_REFRESH": "quiet",
        }  # fmt: skip
        done = subprocess.run(
            [mlflow_python, Path(__file__).with_name("hub_tracking_calls.py")],
            env={**os.environ, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    told = done.stdout.strip().splitlines()
    assert told, done.stderr[-3000:]
    counted = json.loads(told[-1])
    assert counted["failed"] == 0, done.stdout[-6000:]
    assert counted["passed"] >= 20
    assert "Traceback" not in (tmp_path / "hub.log").read_text()
