"""A run that an error ends, and is gone on with; one that is deleted and restored."""

import mlflow

mlflow.set_experiment("gone on with")
try:
    with mlflow.start_run(run_name="raises") as run:
        mlflow.log_metric("loss", 1.0, step=1)
        raise ValueError("on purpose")
except ValueError:
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"
with mlflow.start_run(run_id=run.info.run_id):
    mlflow.log_metric("loss", 0.5, step=2)
    mlflow.set_tag("again", True)
with mlflow.start_run(run_name="other") as other:
    mlflow.log_param("x", 1)
mlflow.delete_run(other.info.run_id)
with mlflow.start_run(run_name="killed"):
    pass
mlflow.MlflowClient().set_terminated(mlflow.last_active_run().info.run_id, "KILLED")
