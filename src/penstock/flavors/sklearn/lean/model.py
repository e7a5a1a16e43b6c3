"""What stands in for a fitted estimator where its rows are a block of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from penstock.error_text import kind_of
from penstock.flavors.sklearn.lean.known_values import known_values
from penstock.flavors.sklearn.lean.lean_predictor import LeanPredictor, lean_predictor
from penstock.flavors.sklearn.lean.proof import prove_lean
from penstock.flavors.sklearn.lean.step import Method, NotLean

# What the estimator itself answers to a block by a method.
OwnAnswer = Callable[[Method, Any], Any]

_METHODS: dict[str, tuple[Method, ...]] = {
    "predict": ("predict",),
    "predict_proba": ("predict_proba",),
    "both": ("predict_proba", "predict"),
}


class LeanModel:
    """Has of an estimator what answers are made of: `predict`, `predict_proba` and `classes_`, as far as the answers
    of `function` need them. Each method takes blocks that `takes` says yes to. Made only where it is proven.

    Raises NotLean.
    """

    def __init__(self, estimator: Any, function: str, own: OwnAnswer, version: str) -> None:
        if function not in _METHODS:
            raise NotLean(f"{function} is not reviewed")
        self.classes_ = getattr(estimator, "classes_", None)
        self._own = own
        self._methods: Sequence[LeanPredictor] = [
            lean_predictor(estimator, method, version) for method in _METHODS[function]
        ]
        try:
            values = known_values(estimator, self._methods[0].width)
        except Exception as error:  # what it says of its columns does not fit together
            raise NotLean(f"it says of its columns what does not fit together: {kind_of(error)}") from error
        for lean in self._methods:
            prove_lean(lean, partial(own, lean.method), values)
            setattr(self, lean.method, partial(lean.predict, own=partial(own, lean.method)))

    def takes(self, block: Any) -> bool:
        """Whether such rows are predicted here."""
        return self._methods[0].takes(block)

    def prove(self, rows: Any) -> None:
        """On rows that it takes. Raises NotLean."""
        for lean in self._methods:
            prove_lean(lean, partial(self._own, lean.method), None, rows)

    def __repr__(self) -> str:
        return f"<LeanModel {', '.join(lean.method for lean in self._methods)}>"
