"""A Python function's answers."""

from __future__ import annotations

import inspect
from typing import Any

from penstock.flavors.frames import from_python, to_python
from penstock.flavors.predictor import Predictor
from penstock.payload import Params, Payload


class PyfuncPredictor(Predictor):
    """Calls a Python function with what MLflow would hand it."""

    def __init__(self, function: Any, *, joinable: bool) -> None:
        self.joinable = joinable
        self._function = function
        self._takes_params = "params" in inspect.signature(function).parameters

    def _predict(self, payload: Payload, params: Params) -> Payload:
        given = to_python(payload)
        result = (
            self._function(given, params=None if params is None else dict(params))
            if self._takes_params
            else self._function(given)
        )
        return from_python(result, rows_of_lists=self.joinable)
