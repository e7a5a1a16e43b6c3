"""Run by the MLflow environment's Python: the stock client logs, searches, registers and loads, at the address in
MLFLOW_TRACKING_URI. Prints one line of JSON with what it saw."""

from __future__ import annotations

import json
import logging
import math
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import mlflow  # noqa: E402


def main() -> None:
    client = mlflow.MlflowClient()
    mlflow.set_experiment("trees")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_params({"depth": 3, "kind": "oak"})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metric("bad", math.nan)
        mlflow.set_tags({"team": "x"})
        mlflow.log_text("hello", "notes/a b.txt")
        mlflow.log_dict({"a": [1, 2]}, "d.json")
    with mlflow.start_run(run_name="second"):
        mlflow.log_param("depth", 4)
        mlflow.log_metric("loss", 0.5)
    run_id = run.info.run_id
    found = mlflow.search_runs(
        experiment_names=["trees"],
        filter_string="metrics.loss < 0.4 and params.depth = '3' and tags.team LIKE 'x%'",
        order_by=["metrics.loss ASC"],
        output_format="list",
    )
    data = client.get_run(run_id).data
    with tempfile.TemporaryDirectory() as place:
        fetched = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="notes", dst_path=place))
        text = (fetched / "a b.txt").read_text()
    client.delete_run(run_id)
    gone = [each.info.run_name for each in mlflow.search_runs(["1"], output_format="list")]
    client.restore_run(run_id)
    print(
        json.dumps(
            {
                "found": [each.info.run_name for each in found],
                "params": data.params,
                "loss": data.metrics["loss"],
                "nan": math.isnan(data.metrics["bad"]),
                "history": [metric.value for metric in client.get_metric_history(run_id, "loss")],
                "files": [each.path for each in client.list_artifacts(run_id)],
                "text": text,
                "after_delete": gone,
                "status": client.get_run(run_id).info.status,
                "run_id": run_id,
            }
        )
    )


main()
