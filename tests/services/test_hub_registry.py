"""MLflow's own client, unchanged, uses every call of the registry that it has against a hub process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.mlflow_servers import BIN, clean_environment, require_mlflow

pytestmark = pytest.mark.services


def test_the_stock_client_does_all_it_can_with_the_registry(tmp_path: Path) -> None:
    require_mlflow()
    command = [sys.executable, "-m", "penstock", "hub", "--store", str(tmp_path / "store"), "--port", "0"]
    with (tmp_path / "hub.log").open("wb") as log:
        hub = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=clean_environment(), text=True)
    try:
        assert hub.stdout is not None
        url = hub.stdout.readline().split()[-1]
        told = subprocess.run(
            [BIN / "python", Path(__file__).with_name("hub_registry_calls.py")],
            env={**clean_environment(), "MLFLOW_TRACKING_URI": url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert told.stdout.strip().endswith("as MLflow has it"), told.stderr[-3000:] + told.stdout[-500:]
    finally:
        hub.terminate()
        hub.wait(30)
        assert hub.stdout is not None
        hub.stdout.close()
    assert "Traceback" not in (tmp_path / "hub.log").read_text()
