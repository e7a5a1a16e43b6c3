"""Run by the MLflow environment's Python: MLflow's own client fills the store in MLFLOW_TRACKING_URI with something of
all that an import brings over. Given a number, logs so many more runs instead, as a server that is in use does; given
"files", only what has files."""

from __future__ import annotations

import logging
import math
import sys
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import mlflow  # noqa: E402
from mlflow.data.http_dataset_source import HTTPDatasetSource  # noqa: E402
from mlflow.data.meta_dataset import MetaDataset  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # its types are known there alone
    def predict(self, context: object, model_input: list[str]) -> list[str]:
        return model_input


def fill() -> None:
    client = mlflow.MlflowClient()
    for name in ("plain", "with ünïcode ☃ / slashes", "x" * 250):
        client.create_experiment(name, tags={"mlflow.note.content": "notes\n" * 10, "k" * 250: "v" * 5000})
    doomed = client.create_experiment("deleted experiment")
    client.create_run(doomed, run_name="in a deleted experiment")
    client.delete_experiment(doomed)
    mlflow.set_experiment("plain")
    _nested_runs(client)
    _limits(client)
    _model_of_a_run(client)
    _registry(client)


def plain(client: mlflow.MlflowClient) -> str:
    """The id of that experiment: a file store gives others than a database."""
    return str(client.get_experiment_by_name("plain").experiment_id)


def _nested_runs(client: mlflow.MlflowClient) -> None:
    with mlflow.start_run(run_name="parent", description="the parent"):
        mlflow.log_params({"depth": 3, "kind": "oak", "empty": ""})
        mlflow.set_tags({"team": "x", "nothing": ""})
        source = HTTPDatasetSource("http://data/iris.csv")
        mlflow.log_input(MetaDataset(source, name="iris", digest="d1"), context="train", tags={"split": "0.8"})
        mlflow.log_input(MetaDataset(source, name="iris", digest="d2"), context="eval")
        for number in range(3):
            with mlflow.start_run(run_name=f"child {number}", nested=True) as child:
                for step in range(120):
                    mlflow.log_metric("loss", 1 / (step + number + 1), step=step)
                mlflow.log_metric("odd", math.nan)
                mlflow.log_metric("odd", math.inf, step=1)
                mlflow.log_metric("odd", -math.inf, step=2)
                mlflow.log_metric("odd", math.nan, step=3)
    client.delete_run(child.info.run_id)
    killed = client.create_run("0", start_time=1, tags={"mlflow.user": "ann"})
    client.set_terminated(killed.info.run_id, "KILLED", end_time=2)
    client.create_run("0", run_name="still running")


def _limits(client: mlflow.MlflowClient) -> None:
    run_id = client.create_run("0", run_name="n" * 250).info.run_id
    client.log_batch(
        run_id,
        metrics=[
            *(Metric("same step", value, 1_700_000_000_000 + value % 7, 0) for value in range(300)),
            *(Metric("same step", value, 1_700_000_000_000 + value % 7, 0) for value in range(100)),
            *(Metric("backwards", step, 5, -step) for step in range(200)),
            Metric("m" * 250, 1e-300, 2**40, 2**62),
        ],
        params=[Param("p" * 250, "v" * 6000), Param("a/b c.d-e_f", "ä")],
        tags=[RunTag("t" * 250, "v" * 8000)],
    )
    client.set_terminated(run_id, "FAILED")


def _model_of_a_run(client: mlflow.MlflowClient) -> None:
    with mlflow.start_run(run_name="with a model") as run:
        info = mlflow.pyfunc.log_model(
            name="echo", python_model=Echo(), params={"alpha": "1"}, tags={"of": "echo"}, pip_requirements=[]
        )
        for step in range(5):
            mlflow.log_metric("acc", step / 10, step=step, model_id=info.model_id)
        mlflow.log_text("hello", "notes/a b.txt")
    for name in ("pending", "deleted"):
        model = client.create_logged_model(plain(client), name, run.info.run_id, tags={"a": "b"}, params={"c": "d"})
        if name == "deleted":
            client.delete_logged_model(model.model_id)
    client.create_registered_model("echo", tags={"owner": "ann"}, description="says it again")
    for number in range(4):
        made = client.create_model_version(
            "echo",
            f"models:/{info.model_id}",
            run.info.run_id,
            tags={"n": str(number)},
            description=f"no. {number}",
            model_id=info.model_id,
        )
    client.delete_model_version("echo", made.version)
    client.transition_model_version_stage("echo", "1", "Production")
    client.transition_model_version_stage("echo", "2", "Staging")
    client.set_registered_model_alias("echo", "champion", "2")
    client.set_registered_model_alias("echo", "challenger", "3")


def _registry(client: mlflow.MlflowClient) -> None:
    client.create_registered_model("without versions")
    client.create_registered_model("of an empty source")
    with tempfile.TemporaryDirectory() as place:
        Path(place, "MLmodel").write_text("flavors: {}\n")
        client.create_model_version("of an empty source", f"file://{place}", run_link="http://link")
    client.create_registered_model("renamed")
    client.rename_registered_model("renamed", "renamed once more")


def grow(runs: int) -> None:
    client = mlflow.MlflowClient()
    for number in range(runs):
        run_id = client.create_run(plain(client), run_name=f"late {number}").info.run_id
        client.log_batch(run_id, metrics=[Metric("late", step, step, step) for step in range(200)])
        client.set_terminated(run_id)


if __name__ == "__main__":
    if sys.argv[1:] == ["files"]:
        mlflow.set_experiment("plain")
        _model_of_a_run(mlflow.MlflowClient())
    elif len(sys.argv) > 1:
        grow(int(sys.argv[1]))
    else:
        fill()
