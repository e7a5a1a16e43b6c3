"""What MLflow's client puts into a hub, for ten programs: the record that our stand-in is held to."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from penstock import tracking
from services.hub_process import hub_process
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
        client = tracking.TrackingClient(url)
        made = {each.stem: state_of(client, EXPERIMENTS.get(each.stem, each.stem)) for each in run_programs.PROGRAMS}
    if os.environ.get("PENSTOCK_RECORD"):
        RECORDED.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    assert made == json.loads(RECORDED.read_bytes())
