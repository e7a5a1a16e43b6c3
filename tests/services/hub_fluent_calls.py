"""The fluent API of MLflow as people use it, for hub_tracking_calls.py: logging of every kind, autologging, nested
runs, models, evaluation, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import mlflow  # noqa: E402

CASES: list[Callable[[], None]] = []
client = mlflow.MlflowClient()


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES.append(function)
    return function


def columns() -> Any:
    from sklearn.datasets import load_iris

    return load_iris(as_frame=True, return_X_y=True)


@case
def everything_is_logged_into_a_run() -> None:
    import matplotlib
    import numpy as np
    import pandas as pd

    matplotlib.use("Agg")
    from matplotlib import pyplot

    mlflow.set_experiment("fluent")
    figure = pyplot.figure()
    figure.gca().plot([1, 2])
    with mlflow.start_run(run_name="all", tags={"a": "1"}, description="words") as run:
        mlflow.log_params({"depth": 3, "list": [1, 2], "none": None})
        mlflow.log_metrics({"loss": 0.5, "accuracy": np.float32(0.25)}, step=1)
        mlflow.set_tags({"b": 2})
        mlflow.log_figure(figure, "plots/figure.png")
        mlflow.log_table({"a": [1, 2], "b": ["x", "y"]}, "table.json")
        mlflow.log_table({"a": [3], "b": ["z"]}, "table.json")
        mlflow.log_dict({"a": [1]}, "d.yaml")
        mlflow.log_text("words", "t.txt")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "i.png")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), key="steps", step=1)
        frame = pd.DataFrame({"x": [1, 2], "y": [0, 1]})
        mlflow.log_input(mlflow.data.from_pandas(frame, targets="y", name="frame"), "train", {"foo": "baz"})
        mlflow.log_input(mlflow.data.from_numpy(np.zeros((2, 3)), name="array"), "test")
    found = client.get_run(run.info.run_id)
    assert found.data.params == {"depth": "3", "list": "[1, 2]", "none": "None"}
    assert found.data.metrics == {"loss": 0.5, "accuracy": 0.25}
    assert {"a": "1", "b": "2", "mlflow.note.content": "words"}.items() <= found.data.tags.items()
    assert found.info.status == "FINISHED"
    assert {each.dataset.name for each in found.inputs.dataset_inputs} == {"frame", "array"}
    assert mlflow.load_table("table.json", run_ids=[run.info.run_id])["b"].tolist() == ["x", "y", "z"]
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/d.yaml") == {"a": [1]}
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/t.txt") == "words"
    assert mlflow.artifacts.load_image(f"{run.info.artifact_uri}/i.png").size == (4, 4)
    paths = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"plots", "table.json", "d.yaml", "t.txt", "i.png", "images"} <= paths
    (kept,) = [each for each in found.inputs.dataset_inputs if each.dataset.name == "frame"]
    assert {tag.key: tag.value for tag in kept.tags} == {"foo": "baz", "mlflow.data.context": "train"}
    assert json.loads(kept.dataset.profile) == {"num_rows": 2, "num_elements": 4}
    assert [each["name"] for each in json.loads(kept.dataset.schema)["mlflow_colspec"]] == ["x", "y"]
    assert mlflow.data.get_source(kept) is not None


@case
def nested_runs_are_found_as_a_frame() -> None:
    mlflow.set_experiment("nested")
    with mlflow.start_run(run_name="parent") as parent:
        for depth in (1, 2, 3):
            with mlflow.start_run(run_name=f"child {depth}", nested=True):
                mlflow.log_param("depth", depth)
                mlflow.log_metric("loss", 1 / depth)
    frame = mlflow.search_runs(
        experiment_names=["nested"],
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}' AND metrics.loss < 0.9",
        order_by=["metrics.loss ASC"],
    )
    assert frame["params.depth"].tolist() == ["3", "2"]
    assert frame["metrics.loss"].tolist() == [1 / 3, 0.5]
    assert frame["status"].tolist() == ["FINISHED"] * 2
    assert len(mlflow.search_runs(experiment_names=["nested"])) == 4
    assert mlflow.get_parent_run(frame["run_id"][0]).info.run_id == parent.info.run_id
    first = frame["run_id"][0]
    mlflow.delete_run(first)
    assert first not in mlflow.search_runs(experiment_names=["nested"])["run_id"].tolist()
    client.restore_run(first)
    with mlflow.start_run(run_id=first):
        mlflow.log_metric("loss", 0.125, step=2)
    assert client.get_run(first).data.metrics["loss"] == 0.125
    try:
        with mlflow.start_run(run_name="raises") as raising:
            raise ValueError("on purpose")
    except ValueError:
        assert client.get_run(raising.info.run_id).info.status == "FAILED"


@case
def scikit_learn_logs_itself() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    mlflow.set_experiment("autolog")
    mlflow.autolog(silent=True)
    try:
        x, y = columns()
        with mlflow.start_run() as run:
            LogisticRegression(max_iter=200).fit(x, y)
        with mlflow.start_run() as search:
            GridSearchCV(LogisticRegression(max_iter=200), {"C": [0.5, 1.0]}, cv=2).fit(x, y)
    finally:
        mlflow.autolog(disable=True, silent=True)
    found = client.get_run(run.info.run_id)
    assert found.data.params["max_iter"] == "200"
    assert found.data.metrics["training_score"] > 0.9
    assert found.data.tags["estimator_name"] == "LogisticRegression"
    assert len(found.inputs.dataset_inputs) == 1
    (output,) = found.outputs.model_outputs
    assert str(client.get_logged_model(output.model_id).status) == "READY"
    assert mlflow.sklearn.load_model(f"models:/{output.model_id}").predict(x[:1]).tolist() == [0]
    assert mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(x[:1]).tolist() == [0]
    children = client.search_runs([found.info.experiment_id], f"tags.mlflow.parentRunId = '{search.info.run_id}'")
    assert {run.data.params["C"] for run in children} == {"0.5", "1.0"}


@case
def a_model_is_registered_promoted_and_loaded() -> None:
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment("models")
    x, y = columns()
    line = LogisticRegression(max_iter=200).fit(x, y)
    with mlflow.start_run() as run:
        signature = infer_signature(x, line.predict(x))
        info = mlflow.sklearn.log_model(
            line, name="line", signature=signature, input_example=x[:2], registered_model_name="iris",
            params={"max_iter": 200},
        )  # fmt: skip
        mlflow.log_metric("accuracy", 0.9, model_id=info.model_id)
    again = mlflow.register_model(f"runs:/{run.info.run_id}/line", "iris", tags={"from": "a run"})
    assert (str(info.registered_model_version), str(again.version)) == ("1", "2")
    client.set_registered_model_alias("iris", "champion", "2")
    client.transition_model_version_stage("iris", "1", "Production")
    client.set_model_version_tag("iris", "1", "checked", "yes")
    for uri in (
        "models:/iris/1",
        "models:/iris@champion",
        "models:/iris/Production",
        "models:/iris/latest",
        info.model_uri,
    ):
        loaded = mlflow.pyfunc.load_model(uri)
        assert loaded.predict(x[:3]).tolist() == [0, 0, 0], uri
        assert loaded.metadata.signature == signature, uri
    assert mlflow.models.get_model_info("models:/iris/1").signature == signature
    assert [v.version for v in client.search_model_versions("name = 'iris'", order_by=["version_number ASC"])] == [
        "1",
        "2",
    ]
    (model,) = mlflow.search_logged_models(filter_string="metrics.accuracy > 0.5", output_format="list",
                                           experiment_ids=[run.info.experiment_id])  # fmt: skip
    assert (model.name, model.params["max_iter"]) == ("line", "200")
    assert mlflow.models.Model.load("models:/iris@champion").run_id == run.info.run_id


@case
def a_model_is_evaluated() -> None:
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment("evaluated")
    x, y = columns()
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(LogisticRegression(max_iter=200).fit(x, y), name="model")
        result = mlflow.models.evaluate(
            info.model_uri, x.assign(target=y), targets="target", model_type="classifier",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
        )  # fmt: skip
    metrics = client.get_run(run.info.run_id).data.metrics
    assert metrics["accuracy_score"] == result.metrics["accuracy_score"] > 0.9
    assert "confusion_matrix.png" in {each.path for each in client.list_artifacts(run.info.run_id)}


@case
def what_is_logged_in_the_background_arrives() -> None:
    mlflow.set_experiment("async")
    with mlflow.start_run() as run:
        for step in range(50):
            mlflow.log_metric("loss", step / 2, step=step, synchronous=False)
        mlflow.log_params({"a": 1, "b": 2}, synchronous=False)
        mlflow.set_tag("c", "3", synchronous=False)
        mlflow.log_metrics({"x": 1.0, "y": 2.0}, synchronous=False).wait()
        mlflow.flush_async_logging()
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 50
    data = client.get_run(run.info.run_id).data
    assert (data.params, data.tags["c"], data.metrics["y"]) == ({"a": "1", "b": "2"}, "3", 2.0)


@case
def the_machines_metrics_are_logged() -> None:
    import importlib.util

    if importlib.util.find_spec("psutil") is None:
        return  # the environment has none, and MLflow then logs nothing
    mlflow.set_experiment("system")
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        end = time.monotonic() + 20
        while time.monotonic() < end and not _system_metrics(run.info.run_id):
            time.sleep(0.1)
    assert "system/cpu_utilization_percentage" in _system_metrics(run.info.run_id)


def _system_metrics(run_id: str) -> list[str]:
    return [name for name in client.get_run(run_id).data.metrics if name.startswith("system/")]


@case
def the_command_line_works() -> None:
    def mlflow_command(*arguments: str) -> str:
        command = [sys.executable, "-W", "ignore", "-m", "mlflow", *arguments]
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr[-2000:])
        return done.stdout

    mlflow_command("experiments", "create", "-n", "by command")
    where = client.get_experiment_by_name("by command").experiment_id
    assert "by command" in mlflow_command("experiments", "search")
    mlflow_command("experiments", "rename", "-x", where, "--new-name", "by a command")
    mlflow_command("experiments", "delete", "-x", where)
    mlflow_command("experiments", "restore", "-x", where)
    run_id = client.create_run(where, run_name="commanded").info.run_id
    client.log_metric(run_id, "loss", 0.5)
    assert run_id in mlflow_command("runs", "list", "--experiment-id", where)
    assert json.loads(mlflow_command("runs", "describe", "--run-id", run_id))["data"]["metrics"] == {"loss": 0.5}
    mlflow_command("runs", "delete", "--run-id", run_id)
    mlflow_command("runs", "restore", "--run-id", run_id)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "f.txt")
        file.write_text("x")
        mlflow_command("artifacts", "log-artifact", "--local-file", str(file), "--run-id", run_id)
        assert "f.txt" in mlflow_command("artifacts", "list", "--run-id", run_id)
        mlflow_command("artifacts", "download", "--run-id", run_id, "--dst-path", f"{place}/down")
        assert Path(place, "down", "f.txt").read_text() == "x"
    assert run_id in mlflow_command("experiments", "csv", "-x", where)
