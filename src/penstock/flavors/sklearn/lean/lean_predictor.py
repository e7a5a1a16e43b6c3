"""The lean form of a whole estimator: which rows it takes, and what becomes of those that it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from penstock.flavors.sklearn.lean.composition import step_of
from penstock.flavors.sklearn.lean.reviewed import require_reviewed_version
from penstock.flavors.sklearn.lean.step import Method, NotLean, RowsUnfit, Step

# More columns than these are tables that take longer to make than to predict.
MAX_WIDTH = 10_000

# What an estimator itself answers to some rows of a batch.
Own = Callable[[Any], Any]


class LeanPredictor:
    """Answers one method of a fitted estimator. `width` is the number of its columns."""

    __slots__ = ("_step", "method", "width")

    def __init__(self, step: Step, method: Method, width: int) -> None:
        self._step = step
        self.method = method
        self.width = width

    def takes(self, block: Any) -> bool:
        """Whether such rows are predicted here: float64 (n, width), n > 0. Compiled trees read outside others."""
        return (
            type(block) is np.ndarray
            and block.dtype == np.float64
            and block.ndim == 2
            and block.shape[1] == self.width
            and len(block) > 0
        )

    def predict(self, block: Any, own: Own) -> Any:
        """Answers (n,) or (n, k) to rows that it takes. Rows that are not all finite get what `own` answers to them;
        what it raises comes out here."""
        try:
            return self._step(block)
        except RowsUnfit as error:
            fit = error.fit
        while fit.any():
            rows = np.flatnonzero(fit)
            try:
                answers = self._step(block[rows])
            except RowsUnfit as error:
                fit[rows[~error.fit]] = False
            else:
                return _put_together(fit, answers, own(block[~fit]))
        return own(block)

    def __repr__(self) -> str:
        return f"<LeanPredictor {self.method}, {self.width} columns>"


def _put_together(fit: Any, answers: Any, others: Any) -> Any:
    """Answers to the rows that are fit and to the others, in the order of all rows."""
    others = np.asarray(others)
    together = np.empty((len(fit), *answers.shape[1:]), np.result_type(answers, others))
    together[fit] = answers
    together[~fit] = others
    return together


def lean_predictor(estimator: Any, method: Method, version: str) -> LeanPredictor:
    """The lean form of an estimator that a scikit-learn of this version made. Raises NotLean."""
    require_reviewed_version(version)
    width = getattr(estimator, "n_features_in_", None)
    if not isinstance(width, int) or not 1 <= width <= MAX_WIDTH:
        raise NotLean(f"it does not say how many columns it takes, or has more than {MAX_WIDTH}")
    return LeanPredictor(step_of(estimator, method, width).step, method, width)
