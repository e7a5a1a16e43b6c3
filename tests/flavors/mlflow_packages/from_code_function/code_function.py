# ruff: noqa
from typing import Dict, List

from mlflow.models import set_model
from mlflow.pyfunc.utils import pyfunc


@pyfunc
def predict(model_input: List[Dict[str, float]]) -> List[float]:
    return [sum(item.values()) for item in model_input]


set_model(predict)
