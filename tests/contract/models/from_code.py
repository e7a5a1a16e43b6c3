"""A model from code: the file itself is the package's model, run when it is loaded."""

import mlflow
import pandas as pd
from mlflow.models import ModelConfig, set_model

config = ModelConfig(development_config={"factor": 1})


class FromCode(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.factor = config.get("factor")

    def predict(self, context, model_input: pd.DataFrame, params=None):
        power = (params or {}).get("power", 1)
        return (model_input["x"] ** power * self.factor).tolist()


set_model(FromCode())
