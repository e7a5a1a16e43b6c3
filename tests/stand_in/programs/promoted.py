"""The registry by hand: versions of a run's model, stages, tags, and what is searched."""

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression

rows = np.array([[0.0], [1.0], [2.0]])
client = mlflow.MlflowClient()
mlflow.set_experiment("promoted")
client.create_registered_model("promoted", tags={"team": "risk"}, description="first")
with mlflow.start_run(run_name="train") as run:
    info = mlflow.sklearn.log_model(LinearRegression().fit(rows, rows[:, 0]), name="line", serialization_format="skops")
version = mlflow.register_model(info.model_uri, "promoted")
client.transition_model_version_stage("promoted", version.version, "Production")
client.update_model_version("promoted", version.version, description="better")
client.set_registered_model_tag("promoted", "state", "good")
client.set_registered_model_alias("promoted", "old", version.version)
client.delete_registered_model_alias("promoted", "old")
assert [each.version for each in client.search_model_versions("name = 'promoted'")] == [version.version]
assert client.get_latest_versions("promoted", ["Production"])[0].version == version.version
try:
    client.get_model_version("promoted", "9")
except MlflowException as error:
    code = error.error_code
assert code == "RESOURCE_DOES_NOT_EXIST"
