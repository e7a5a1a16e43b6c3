"""Ten programs as people write them for MLflow, run without it: a store holds what MLflow's client puts there.

`made_by_mlflow.json` was made by MLflow 3.18's client, logging to a hub; tests/services compares it with that client.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fluent.conftest import quiet_figures as quiet_figures
from fluent.conftest import store as store
from penstock import tracking
from stand_in.hub_state import EXPERIMENTS, RECORDED, state_of
from stand_in.run_programs import PROGRAMS, run_program
from stand_in.test_stand_in import mlflow as mlflow


def test_programs_written_for_mlflow_leave_what_mlflow_leaves(mlflow: Any, store: Path, quiet_figures: None) -> None:
    recorded = json.loads(RECORDED.read_bytes())
    assert len(PROGRAMS) == len(recorded) == 10
    client = tracking.TrackingClient()
    for program in PROGRAMS:
        run_program(program)
        assert tracking.flush_async_logging()
        assert state_of(client, EXPERIMENTS.get(program.stem, program.stem)) == recorded[program.stem], program.stem
