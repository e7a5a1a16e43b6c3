"""Points about logged models: kept beside the run's series, by model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sqlalchemy import Connection

from penstock.sql import tracking_tables as tables
from penstock.sql.dialect import any_of, insert_rows, run
from penstock.tracking.metrics import Metric


def log_model_metrics(c: Connection, logged: Sequence[tuple[int, Sequence[Metric]]]) -> None:
    """Adds the points that name a model. NaN counts as 0 here, as in MLflow; a model that is unknown has no points."""
    about = [(run_key, metric) for run_key, metrics in logged for metric in metrics if metric.model_id]
    if not about:
        return
    condition, parameter = any_of(c, "model_id", sorted({metric.model_id for _, metric in about}))
    found = run(c, f"SELECT model_id, id FROM penstock_logged_models WHERE {condition}", parameter)
    models: dict[str, int] = dict(found)
    rows = [
        (
            *(models[m.model_id], m.key, m.timestamp, m.step, run_key, 0.0 if math.isnan(m.value) else m.value),
            *(m.dataset_name, m.dataset_digest),
        )
        for run_key, m in about
        if m.model_id in models
    ]
    insert_rows(c, tables.logged_model_metrics, rows, "keep")
