"""A model with a signature, registered, given an alias, and loaded by it."""

import mlflow
import mlflow.sklearn
import numpy as np
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.linear_model import LogisticRegression

rows, target = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]]), np.array([0, 0, 1, 1])
mlflow.set_experiment("modelled")
with mlflow.start_run(run_name="train") as run:
    model = LogisticRegression().fit(rows, target)
    mlflow.log_params({"C": 1.0})
    mlflow.log_metric("before", 0.5)
    info = mlflow.sklearn.log_model(
        model,
        name="classifier",
        signature=infer_signature(rows, model.predict(rows)),
        registered_model_name="modelled",
        params={"kind": "lr"},
        serialization_format="skops",
    )
    mlflow.log_metric("accuracy", model.score(rows, target))
client = MlflowClient()
again = mlflow.register_model(f"runs:/{run.info.run_id}/classifier", "modelled", tags={"from": "a run"})
client.set_registered_model_alias("modelled", "champion", again.version)
client.set_model_version_tag("modelled", "1", "checked", "yes")
client.update_registered_model("modelled", description="tells good from bad")
assert mlflow.sklearn.load_model("models:/modelled@champion").predict(rows).tolist() == target.tolist()
assert mlflow.pyfunc.load_model(info.model_uri).predict(rows).tolist() == target.tolist()
