"""Models without a package: functions that answer as a model would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from penstock.flavors import Predictor
from penstock.flavors.frames import from_python, to_python
from penstock.loading import LoadedModel, Proof
from penstock.manifest import FILE_NAME, Manifest
from penstock.package import PackagedModel
from penstock.payload import Params, Payload
from penstock.signature import Signature

# Given the data and the params, as MLflow hands them to a function: a frame, an array, a dict of arrays or a value.
AnswerFunction: TypeAlias = Callable[[Any, Params], Any]


class FakePredictor(Predictor):
    """A predictor made of a function. `calls` has the data of each call so far; what the function raises becomes a
    PredictError, as with any model. `joinable` lets rows of several requests reach it together."""

    def __init__(self, function: AnswerFunction, *, joinable: bool = False, takes_frames: bool = True) -> None:
        self.joinable = joinable
        self.takes_frames = takes_frames
        self._function = function
        # The whole mutable state: the data of every call.
        self.calls: list[Any] = []

    def _predict(self, payload: Payload, params: Params) -> Payload:
        data = to_python(payload)
        self.calls.append(data)
        return from_python(self._function(data, params), rows_of_lists=self.joinable)

    def __repr__(self) -> str:
        return f"<FakePredictor, {len(self.calls)} calls>"


@dataclass(frozen=True, slots=True)
class FakeModel:
    """A model to put behind a test gateway: what it answers, and the signature that requests are checked against.

    def answer(data, params):
        return [row["amount"] > 100 for _, row in data.iterrows()]

    FakeModel(answer, Signature.from_mlflow({"inputs": '[{"type": "double", "name": "amount"}]'}))
    """

    function: AnswerFunction
    signature: Signature | None = None
    version: str = "1"

    def load(self, directory: Path) -> LoadedModel:
        """As if it had been loaded from a package in this empty directory, which is written."""
        content: dict[str, Any] = {"flavors": {"python_function": {"loader_module": "penstock.testing.fakes"}}}
        if self.signature is not None:
            content["signature"] = self.signature.to_mlflow()
        (directory / FILE_NAME).write_bytes(Manifest(content).dump())
        return LoadedModel(PackagedModel.open(directory), FakePredictor(self.function), Proof(False, "it is a fake"))
