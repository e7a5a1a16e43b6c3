"""A fitted estimator's answers.

An estimator that was fitted on a frame gets one only if it looks at column names or dtypes; the others get the block
itself, which is several times faster and gives the same numbers.

Few rows are predicted by one thread. Histogram gradient boosting would start several for every tree by OpenMP, and wait
for the last of them each time. For few rows that gains nothing; and on a machine that is busy, or whose processors a
container may use in part only, it waits for a processor at every tree: a row that takes a millisecond takes seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from penstock.flavors.frames import from_python, to_frame, to_python
from penstock.flavors.predictor import Predictor
from penstock.flavors.sklearn.answers.class_answers import class_columns
from penstock.payload import Params, Payload, Table

_STARTS_THREADS = "sklearn.ensemble._hist_gradient_boosting."

# Up to so many rows are few.
_FEW = 256

# What to be inside of while few rows are predicted.
_OneThread: TypeAlias = Callable[[], AbstractContextManager[object]]


class SklearnPredictor(Predictor):
    """One fitted estimator and the method that answers; `by_class` with a table of its classes."""

    quick = True

    def __init__(self, estimator: Any, function: str, *, cyclic: bool = True, by_class: bool = False) -> None:
        parts = _parts(estimator)
        _use_one_thread(parts)
        self._one_thread = _one_thread(parts)
        self.cyclic = cyclic
        self.estimator = estimator
        self.by_class = by_class
        self._call = partial(class_columns, estimator, function) if by_class else getattr(estimator, function)
        self._names = _fitted_names(estimator)
        self._reads_frames = _reads_frames(estimator)
        # We hand over blocks whose column order is checked already.
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)

    def _predict(self, payload: Payload, params: Params) -> Payload:
        """MLflow's sklearn flavor takes params and makes no use of them; so does ours."""
        if self._one_thread is None or payload.rows is None or payload.rows > _FEW:
            return self._payload(self._call(self._input(payload)))
        with self._one_thread():
            return self._payload(self._call(self._input(payload)))

    def _payload(self, answer: Any) -> Payload:
        return Table.of(*answer) if self.by_class else from_python(answer)

    def close(self) -> None:
        """Takes the estimator apart, tree by tree: to free hundreds in one go would hold the interpreter for as long as
        that takes. What was made last goes first, so that memory goes back to the system bit by bit too. Only
        scikit-learn's own objects: nobody else has those that a file brought."""
        parts = _parts(self.estimator)[::-1]
        self.estimator = self._call = None
        while parts:
            part = parts.pop()
            if type(part).__module__.startswith("sklearn.") and hasattr(part, "__dict__"):
                part.__dict__.clear()

    def _input(self, payload: Payload) -> Any:
        if not isinstance(payload, Table):
            return to_python(payload)
        block = payload.block
        plain = block is not None and block.dtype.kind in "fiub" and not self._reads_frames
        if plain and (self._names is None or self._names == payload.names):
            return block
        return to_frame(payload)


def _fitted_names(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(names)


def _parts(estimator: Any) -> list[Any]:
    """The estimator and every estimator in it, however deep: its parameters, and the fitted copies it made of them."""
    parts: dict[int, Any] = {}
    waiting = [estimator]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (list, tuple)):
            waiting += one
        elif isinstance(one, np.ndarray) and one.dtype == object:
            waiting += one.ravel().tolist()  # gradient boosting keeps its trees so
        elif isinstance(one, dict):
            waiting += one.values()
        elif (hasattr(one, "fit") or hasattr(one, "predict")) and not isinstance(one, type) and id(one) not in parts:
            parts[id(one)] = one
            waiting += getattr(one, "__dict__", {}).values()
    return list(parts.values())


def _reads_frames(estimator: Any) -> bool:
    """Whether column names or dtypes of a frame could change the answer: transformers by column, functions, output
    settings, categories by dtype, and any code that is not scikit-learn's."""
    for part in _parts(estimator):
        kind = type(part)
        if not kind.__module__.startswith("sklearn."):
            return True
        if kind.__name__ in ("ColumnTransformer", "FunctionTransformer", "TransformedTargetRegressor"):
            return True
        if getattr(part, "_sklearn_output_config", None) or getattr(part, "_preprocessor", None) is not None:
            return True
    return False


def _use_one_thread(parts: Sequence[Any]) -> None:
    """Serving is parallel over requests; a pool of threads for each small batch only costs time. k-means keeps the
    number of the machine that it was fitted on."""
    for part in parts:
        for name in ("n_jobs", "_n_threads"):
            if getattr(part, name, None) not in (None, 1):
                setattr(part, name, 1)


def _one_thread(parts: Sequence[Any]) -> _OneThread | None:
    """For an estimator of these parts; None where none of them starts threads by OpenMP."""
    if not any(type(part).__module__.startswith(_STARTS_THREADS) for part in parts):
        return None
    from threadpoolctl import ThreadpoolController

    openmp = ThreadpoolController().select(user_api="openmp")  # the limit is the calling thread's alone
    return partial(openmp.limit, limits=1)
