"""What MLflow's client puts into a hub, for ten programs: the record that our stand-in is held to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock import tracking
from services.hub_process import hub_process
from services.mlflow_servers import require_mlflow, running
from stand_in import run_programs
from stand_in.hub_state import EXPERIMENTS, RECORDED, state_of

pytestmark = pytest.mark.services


def test_the_record_is_what_mlflows_client_leaves(mlflow_python: Path, tmp_path: Path) -> None:
    """PENSTOCK_RECORD=1 writes it anew, as for another release of MLflow or scikit-learn."""
    with hub_process(tmp_path) as url:
        environ = {**os.environ, "MLFLOW_TRACKING_URI": url, "MPLBACKEND": "Agg"}
        done = subprocess.run(
            [mlflow_python, run_programs.__file__],
            env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        made = states(tracking.TrackingClient(url))
    if os.environ.get("PENSTOCK_RECORD"):
        RECORDED.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    assert made == json.loads(RECORDED.read_bytes())


def test_an_mlflow_server_holds_the_same_when_the_stand_in_logs_to_it(tmp_path: Path) -> None:
    require_mlflow()
    (tmp_path / "server").mkdir()
    files = ("--artifacts-destination", str(tmp_path / "server" / "files"))
    with running(tmp_path / "server", *files) as server:
        environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("PENSTOCK_", "MLFLOW_"))},
            "MLFLOW_TRACKING_URI": server.url,
            "MPLBACKEND": "Agg",
            "PENSTOCK_SPOOL": str(tmp_path / "spool"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "penstock.stand_in", run_programs.__file__],
            env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        assert states(tracking.TrackingClient(server.url)) == json.loads(RECORDED.read_bytes())


def states(client: tracking.TrackingClient) -> dict[str, Any]:
    """What each program left, by its name."""
    return {each.stem: state_of(client, EXPERIMENTS.get(each.stem, each.stem)) for each in run_programs.PROGRAMS}
