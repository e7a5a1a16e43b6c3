"""The parts that a lean prediction is made of: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Literal, TypeAlias

import numpy as np

# Rows (n, width) to the rows of the next step, or to answers (n,) or (n, k). It changes nothing of what it is given.
Step: TypeAlias = Callable[[Any], Any]

# Methods of an estimator whose answers are made here.
Method: TypeAlias = Literal["predict", "predict_proba"]

_sum = np.add.reduce


class NotLean(Exception):
    """An estimator, or the way in which it was fitted, that has no lean form. The text says what, as "its solver is
    not reviewed"."""


class RowsUnfit(Exception):
    """Some rows are for the estimator itself. `fit` (n,) is true for the others."""

    def __init__(self, fit: Any) -> None:
        super().__init__()
        self.fit = fit


def require_finite(rows: Any) -> None:
    """Raises RowsUnfit unless all values (n, width) are finite: others an estimator refuses, or handles in its own
    way. A sum shows any of them in one pass; one that is beyond all numbers is looked at closely."""
    if not isfinite(_sum(rows, None)):
        fit = np.isfinite(rows).all(axis=1)
        if not fit.all():
            raise RowsUnfit(fit)


def require_not_infinite(rows: Any) -> None:
    """The same where NaN is a value as any other."""
    if not isfinite(_sum(rows, None)):
        fit = ~np.isinf(rows).any(axis=1)
        if not fit.all():
            raise RowsUnfit(fit)
