"""A classifier and a pipeline that regresses, both logged by their fit."""

import mlflow
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mlflow.set_experiment("autologged")
mlflow.sklearn.autolog(silent=True, extra_tags={"team": "risk"})
frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "b": [1.0, 0.0, 3.0, 2.0, 5.0, 4.0]})
target = np.array([0, 0, 0, 1, 1, 1])
try:
    LogisticRegression(C=0.5).fit(frame, target)
    with mlflow.start_run(run_name="pipeline"):
        make_pipeline(StandardScaler(), Ridge(alpha=0.5)).fit(frame.to_numpy(), frame["a"].to_numpy() * 2)
        mlflow.log_metric("more", 1.0)
finally:
    mlflow.sklearn.autolog(disable=True, silent=True)
