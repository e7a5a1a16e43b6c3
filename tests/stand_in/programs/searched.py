"""A grid of params, logged by its fit: the best results are runs inside."""

import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

mlflow.set_experiment("searched")
mlflow.sklearn.autolog(silent=True, log_models=False, max_tuning_runs=2)
rows = np.array([[float(i), float(i % 3)] for i in range(12)])
try:
    with mlflow.start_run(run_name="grid"):
        GridSearchCV(LogisticRegression(), {"C": [0.01, 0.5, 1.0]}, cv=2).fit(rows, rows[:, 0] > 5)
finally:
    mlflow.sklearn.autolog(disable=True, silent=True)
