"""Which data a run took."""

import mlflow
import numpy as np
import pandas as pd

mlflow.set_experiment("datasets")
frame = pd.DataFrame({"x": [1, 2], "y": [0.5, None], "s": ["a", "b"]})
taken = mlflow.data.from_pandas(frame, source="https://example.com/frame.csv", name="frame", targets="y")
with mlflow.start_run(run_name="data"):
    mlflow.log_input(taken, context="train", tags={"fold": "1"})
    mlflow.log_input(mlflow.data.from_numpy(np.arange(6.0).reshape(2, 3), targets=np.array([0, 1])), context="eval")
    mlflow.log_metric("loss", 0.5, dataset=taken)
