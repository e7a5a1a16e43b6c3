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
from penstock.flavors.sklearn.lean.model import LeanModel
from penstock.flavors.sklearn.lean.step import Method, NotLean
from penstock.payload import Params, Payload, Table

_STARTS_THREADS = "sklearn.ensemble._hist_gradient_boosting."

# Up to so many rows are few.
_FEW = 256

# What to be inside of while few rows are predicted.
_OneThread: TypeAlias = Callable[[], AbstractContextManager[object]]


class SklearnPredictor(Predictor):
    """One fitted estimator and the method that answers; `by_class` with a table of its classes."""

    quick = True

    def __init__(
        self, estimator: Any, function: str, *, cyclic: bool = True, by_class: bool = False, version: str = ""
    ) -> None:
        """`version` is that of the scikit-learn that predicts."""
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
        # Set at load alone, and by `close`: what predicts where it can, and how it is asked.
        self._lean: LeanModel | None = None
        self._lean_call: Any = None
        try:
            self._lean = LeanModel(estimator, function, self._own_answer, version)
        except NotLean as error:
            self.not_lean = str(error)
        else:
            self.not_lean = ""
            self._lean_call = (
                partial(class_columns, self._lean, function) if by_class else getattr(self._lean, function)
            )

    def rehearse(self, payload: Payload) -> None:
        block = self._block(payload)
        if self._lean is None or not self._lean.takes(block):
            return
        try:
            self._lean.prove(block)
        except NotLean as error:
            self._lean = self._lean_call = None
            self.not_lean = str(error)

    def _predict(self, payload: Payload, params: Params) -> Payload:
        """MLflow's sklearn flavor takes params and makes no use of them; so does ours."""
        if self._lean is not None and self._lean.takes(block := self._block(payload)):
            return self._payload(self._lean_call(block))
        if self._one_thread is None or payload.rows is None or payload.rows > _FEW:
            return self._payload(self._call(self._input(payload)))
        with self._one_thread():
            return self._payload(self._call(self._input(payload)))

    def _block(self, payload: Payload) -> Any:
        """Rows (n, width) as the estimator would see them in the same order; None where they are none, or where it
        looks at something else."""
        if isinstance(payload, Table):
            return payload.block if self._names is None or self._names == payload.names else None
        return None if self._reads_frames else to_python(payload)

    def _own_answer(self, method: Method, block: Any) -> Any:
        """What the estimator itself answers to a block."""
        call, rows = getattr(self.estimator, method), self._input(Table(self._names, block=block))
        if self._one_thread is None or len(block) > _FEW:
            return call(rows)
        with self._one_thread():
            return call(rows)

    def _payload(self, answer: Any) -> Payload:
        return Table.of(*answer) if self.by_class else from_python(answer)

    def close(self) -> None:
        """Takes the estimator apart, tree by tree: to free hundreds in one go would hold the interpreter for as long as
        that takes. What was made last goes first, so that memory goes back to the system bit by bit too. Only
        scikit-learn's own objects: nobody else has those that a file brought."""
        self._lean = self._lean_call = None
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
