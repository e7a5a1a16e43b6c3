"""Versions that change under live traffic, at full size: 10,000 requests over 20 promotions and roll-backs, following a
real PostgreSQL and a real MLflow server; and a worker that is killed on the way. `make prove-rollout` says more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.mlflow_servers import require_mlflow

sys.path.insert(0, str(Path(__file__).parents[2] / "loadtests"))

from prove_rollout import Plan, run

pytestmark = pytest.mark.services


@pytest.mark.parametrize("plan", [
    Plan("postgresql", workers=1),
    Plan("postgresql", workers=2, kill=True),
    Plan("mlflow", workers=1),
    Plan("mlflow", workers=2, kill=True),
], ids=["postgresql", "postgresql-workers-kill", "mlflow", "mlflow-workers-kill"])  # fmt: skip
def test_no_caller_notices_a_rollout(plan: Plan, tmp_path: Path) -> None:
    if plan.registry == "mlflow":
        require_mlflow()
    found = run(plan, tmp_path)
    print("\n".join(found.lines()))
    assert found.problems == []
    assert found.requests >= 10_000
    assert len(found.promotions) == len(found.rollbacks) == 10
    assert set(found.versions) == {"1", "2"}
