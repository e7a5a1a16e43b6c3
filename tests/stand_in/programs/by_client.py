"""No active run: everything is named by its id."""

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

client = MlflowClient()
experiment_id = client.create_experiment("by client", tags={"team": "risk"})
client.set_experiment_tag(experiment_id, "state", "new")
run = client.create_run(experiment_id, tags={"a": "1"}, run_name="first")
run_id = run.info.run_id
client.log_param(run_id, "depth", 8)
client.log_metric(run_id, "loss", 0.5, timestamp=999, step=1)
client.log_batch(run_id, [Metric("loss", 0.25, 1000, 2)], [Param("kind", "oak")], [RunTag("b", "2")])
client.set_tag(run_id, "c", 3)
client.log_text(run_id, "words", "text.txt")
client.set_terminated(run_id, "KILLED")
assert [point.value for point in client.get_metric_history(run_id, "loss")] == [0.5, 0.25]
assert [file.path for file in client.list_artifacts(run_id)] == ["text.txt"]
(found,) = client.search_runs([experiment_id], "params.kind = 'oak'")
assert found.info.status == "KILLED"
