"""A search by hand: runs inside a run, and the best of them found again."""

import mlflow

mlflow.set_experiment("nested")
with mlflow.start_run(run_name="parent") as parent:
    for depth in (1, 2, 3):
        with mlflow.start_run(run_name=f"depth-{depth}", nested=True):
            mlflow.log_param("depth", depth)
            mlflow.log_metric("loss", 1 / depth)
    found = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["metrics.loss ASC"]
    )
    mlflow.log_param("best_depth", found.iloc[0]["params.depth"])
assert found["metrics.loss"].tolist() == [1 / 3, 0.5, 1.0]
assert mlflow.get_parent_run(found.iloc[0]["run_id"]).info.run_id == parent.info.run_id
