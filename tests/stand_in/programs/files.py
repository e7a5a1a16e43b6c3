"""Tables, images and figures."""

import matplotlib
import mlflow
import numpy as np
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot

mlflow.set_experiment("files")
figure, axes = pyplot.subplots()
axes.plot([1, 2])
with mlflow.start_run(run_name="files") as run:
    mlflow.log_table({"question": ["a", "b"], "score": [1, 2]}, "table.json")
    mlflow.log_table(pd.DataFrame({"question": ["c"], "score": [3]}), "table.json")
    mlflow.log_image(np.zeros((4, 6, 3), dtype=np.uint8), "image.png")
    mlflow.log_image(np.ones((4, 6)), key="mask/left", step=2, timestamp=1234)
    mlflow.log_figure(figure, "plots/figure.png")
    mlflow.log_dict({"a": 1}, "d.yaml")
pyplot.close(figure)
assert mlflow.load_table("table.json", run_ids=[run.info.run_id])["question"].tolist() == ["a", "b", "c"]
assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/d.yaml").strip() == "a: 1"
