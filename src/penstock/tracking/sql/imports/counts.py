"""How much of what an import brought over is in the store: counted there, not from what was written."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from penstock.sql.dialect import run

_RUNS = "penstock_imported i JOIN penstock_runs r ON r.run_id = i.id AND i.kind = 'run' AND i.source = ?"
_EXPERIMENTS = (
    "penstock_imported i JOIN penstock_experiments e ON CAST(e.id AS TEXT) = i.id "
    "AND i.kind = 'experiment' AND i.source = ?"
)
_MODELS = (
    "penstock_imported i JOIN penstock_logged_models m ON m.model_id = i.id "
    "AND i.kind = 'logged model' AND i.source = ?"
)
_STATEMENTS: Mapping[str, str] = {
    "experiments": f"SELECT count(*) FROM {_EXPERIMENTS}",
    "experiment tags": f"SELECT count(*) FROM {_EXPERIMENTS} JOIN penstock_experiment_tags t ON t.experiment = e.id",
    "runs": f"SELECT count(*) FROM {_RUNS}",
    "params": f"SELECT count(*) FROM {_RUNS} JOIN penstock_params p ON p.run = r.id",
    "tags": f"SELECT count(*) FROM {_RUNS} JOIN penstock_tags t ON t.run = r.id",
    "dataset inputs": f"SELECT count(*) FROM {_RUNS} JOIN penstock_inputs n ON n.run = r.id",
    "models of runs": f"SELECT count(*) FROM {_RUNS} JOIN penstock_run_models n ON n.run = r.id",
    "metric points": f"SELECT coalesce(sum(s.points), 0) FROM {_RUNS} JOIN penstock_series s ON s.run = r.id",
    "logged models": f"SELECT count(*) FROM {_MODELS}",
    "logged model params": f"SELECT count(*) FROM {_MODELS} JOIN penstock_logged_model_params p ON p.model = m.id",
    "logged model tags": f"SELECT count(*) FROM {_MODELS} JOIN penstock_logged_model_tags t ON t.model = m.id",
    "logged model metrics": f"SELECT count(*) FROM {_MODELS} JOIN penstock_logged_model_metrics p ON p.model = m.id",
}


def count_imported(c: Connection, source: int) -> dict[str, int]:
    """Of each kind, what objects that came from this source hold now."""
    return {kind: int(run(c, statement, source).scalar()) for kind, statement in _STATEMENTS.items()}
