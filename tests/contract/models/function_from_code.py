"""A function as a model from code."""

from mlflow.models import set_model


def predict(model_input):
    return [len(str(value)) for value in model_input["s"]]


set_model(predict)
