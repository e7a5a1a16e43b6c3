"""Run by the MLflow environment's Python: MLflow's own client, doing what a line of JSON on stdin says.

    {"do": "log", "name": "fraud", "width": 3}      one line of JSON back for each

Two kinds of models: `log` registers an ONNX identity of that many columns as MLflow 3 does, `log_into_run` puts its
files among a run's artifacts, as MLflow 2 did.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import mlflow.onnx  # noqa: E402
from mlflow.models import ModelSignature  # noqa: E402
from mlflow.types import Schema, TensorSpec  # noqa: E402


def graph(width: int) -> Any:
    """y = x, floats of shape (-1, width)."""
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width]) for name in "xy"]
    made = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", values[:1], values[1:])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def arguments(width: int) -> dict[str, Any]:
    import numpy as np

    spec = [TensorSpec(np.dtype("float32"), (-1, width), name) for name in "xy"]
    return {
        "onnx_model": graph(width),
        "signature": ModelSignature(Schema(spec[:1]), Schema(spec[1:])),
        "pip_requirements": ["onnxruntime"],
    }


class Client:
    def __init__(self) -> None:
        self._client = mlflow.MlflowClient()

    def log(self, name: str, width: int = 3, experiment: str = "Default") -> dict[str, str]:
        mlflow.set_experiment(experiment)
        with mlflow.start_run() as run:
            info = mlflow.onnx.log_model(name="model", registered_model_name=name, **arguments(width))
        return {"run": run.info.run_id, "model": info.model_id, "version": str(info.registered_model_version)}

    def log_into_run(self, name: str, width: int = 3, experiment: str = "Default") -> dict[str, str]:
        mlflow.set_experiment(experiment)
        with tempfile.TemporaryDirectory() as place, mlflow.start_run() as run:
            mlflow.onnx.save_model(path=Path(place, "m"), **arguments(width))
            mlflow.log_artifacts(str(Path(place, "m")), "the model")
            source = f"{run.info.artifact_uri}/the model"
            self._register(name)
            version = self._client.create_model_version(name, source, run.info.run_id)
        return {"run": run.info.run_id, "version": str(version.version)}

    def log_package(self, name: str, package: str) -> str:
        """What docs/mlflow.md tells people to do with a package that Penstock made."""
        with mlflow.start_run() as run:
            mlflow.log_artifacts(package, "model")
        return str(mlflow.register_model(f"runs:/{run.info.run_id}/model", name).version)

    def register(self, name: str, source: str = "s3://somewhere/model") -> str:
        self._register(name)
        return str(self._client.create_model_version(name, source).version)

    def _register(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def alias(self, name: str, alias: str, version: str) -> None:
        self._client.set_registered_model_alias(name, alias, version)

    def stage(self, name: str, version: str, stage: str) -> None:
        self._client.transition_model_version_stage(name, version, stage)

    def aliases(self, name: str) -> dict[str, str]:
        return {a: str(v) for a, v in self._client.get_registered_model(name).aliases.items()}

    def tags(self, name: str, version: str) -> list[dict[str, str]]:
        return [self._client.get_registered_model(name).tags, self._client.get_model_version(name, version).tags]

    def delete(self, name: str, version: str = "") -> None:
        if version:
            self._client.delete_model_version(name, version)
        else:
            self._client.delete_registered_model(name)

    def predict(self, uri: str, rows: list[list[float]]) -> Any:
        import numpy as np

        answer = mlflow.pyfunc.load_model(uri).predict(np.asarray(rows, dtype=np.float32))
        return {name: values.tolist() for name, values in answer.items()}


def main() -> None:
    logging.disable(logging.WARNING)
    client = Client()
    out, sys.stdout = sys.stdout, sys.stderr  # MLflow prints
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"answer": getattr(client, order.pop("do"))(**order)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
