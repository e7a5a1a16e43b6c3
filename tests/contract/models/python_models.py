"""Classes and functions that MLflow pickles by value: the ways in which people write PythonModels."""

import datetime as dt
from typing import Any

import mlflow
import pandas as pd
import pydantic

from contract.models.echo import describe


class Plain(mlflow.pyfunc.PythonModel):
    """The usual signature, with a context."""

    def predict(self, context, model_input, params=None):
        return {"input": describe(model_input), "params": describe(params)}


class WithoutContext(mlflow.pyfunc.PythonModel):
    def predict(self, model_input, params=None):
        return {"input": describe(model_input), "params": describe(params)}


class WithoutParams(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return describe(model_input)


class Everything(mlflow.pyfunc.PythonModel):
    """Uses an artifact, settings and a module of the package's own code."""

    def load_context(self, context):
        with open(context.artifacts["words"], encoding="utf-8") as file:
            self.words = file.read().split()
        self.scale = context.model_config["scale"]

    def predict(self, context, model_input, params=None):
        from contract_words import joined

        total = model_input["a"].sum() * self.scale
        return {
            "text": joined(self.words),
            "total": total,
            "config": dict(context.model_config),
            "artifacts": sorted(context.artifacts),
            "params": params,
        }


class Frames(mlflow.pyfunc.PythonModel):
    """Answers a frame, as most models do."""

    def predict(self, context, model_input):
        return pd.DataFrame({"sum": model_input.sum(axis=1, numeric_only=True), "n": range(len(model_input))})


class Series(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input.iloc[:, 0] * 2


class Stateful(mlflow.pyfunc.PythonModel):
    """State from __init__ is pickled with it."""

    def __init__(self, offset):
        self.offset = offset

    def predict(self, context, model_input, params=None):
        return (model_input["x"] + self.offset + (params or {}).get("more", 0)).to_numpy()


class Text(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str], params: dict[str, Any] | None = None) -> list[str]:
        return [describe(item) for item in model_input]


class Numbers(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[float]) -> list[float]:
        return [x * 2 for x in model_input]


class Dicts(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[dict[str, int]]) -> list[int]:
        return [sum(item.values()) for item in model_input]


class Moments(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[dt.datetime]) -> list[str]:
        return [describe(item) for item in model_input]


class Binary(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[bytes]) -> list[str]:
        return [describe(item) for item in model_input]


class Lists(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[list[str]]) -> list[str]:
        return [describe(item) for item in model_input]


class Untyped(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[Any]) -> list[Any]:
        return [describe(item) for item in model_input]


class Place(pydantic.BaseModel):
    city: str
    people: int | None = None


class Person(pydantic.BaseModel):
    name: str
    age: int
    height: float = 1.75
    tags: list[str] = []
    place: Place | None = None


class People(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[Person]) -> list[Person]:
        return [person.model_copy(update={"age": person.age + 1}) for person in model_input]


class Chat(mlflow.pyfunc.PythonModel):
    """Takes whatever dictionary comes, as models of language do."""

    def predict(self, context, model_input, params=None):
        return {"id": "chat", "choices": [{"index": 0, "message": describe(model_input)}], "params": describe(params)}


def doubled(model_input):
    return [value * 2 for value in model_input]


def hinted(model_input: list[str]) -> list[str]:
    return [value.upper() for value in model_input]
