"""What every introduction shows: a run with params, metrics by step, tags and a file."""

import mlflow

mlflow.set_experiment("quickstart")
with mlflow.start_run(run_name="first", tags={"team": "risk"}, description="words") as run:
    mlflow.log_param("rate", 0.1)
    mlflow.log_params({"depth": 8, "names": ["a", "b"], "none": None})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"accuracy": 0.5, "gap": float("nan")}, step=4)
    mlflow.set_tag("state", "new")
    mlflow.set_tags({"gone": 1, "number": 2.5})
    mlflow.delete_tag("gone")
    mlflow.log_text("words", "notes/text.txt")
    mlflow.log_dict({"a": [1, 2]}, "d.json")
    assert mlflow.active_run().info.run_id == run.info.run_id
assert mlflow.active_run() is None
assert mlflow.get_run(run.info.run_id).data.params["depth"] == "8"
