# ruff: noqa
"""A model from code."""

from __future__ import annotations

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import ModelConfig, set_model
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.types import ColSpec, DataType, Schema

config = ModelConfig(development_config={"factor": 1})
COLUMNS = Schema([ColSpec(DataType.double, "a")])


class Pump(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.factor = context.model_config["factor"]

    @mlflow.trace
    def predict(self, context, model_input, params=None):
        if (model_input["a"] < 0).any():
            raise MlflowException("no such pump", error_code=RESOURCE_DOES_NOT_EXIST)
        return (model_input["a"] * self.factor * config.get("factor")).tolist()


mlflow.models.set_model(Pump())
