"""Linear models: scores are rows times coefficients, and an intercept.

Source: scikit-learn 1.9, `linear_model/_base.py`, `linear_model/_logistic.py`, `linear_model/_ridge.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.lean.step import Method, NotLean, Step, require_finite


def linear_regressor(model: Any, method: Method, width: int) -> Step:
    """`predict` of models whose answers are the scores: (n,), or (n, outputs)."""
    coefficients, intercept = _coefficients(model), model.intercept_

    def step(rows: Any) -> Any:
        require_finite(rows)
        return rows @ coefficients + intercept

    return step


def linear_classifier(model: Any, method: Method, width: int) -> Step:
    """Labels (n,) of the class with the highest score."""
    if method != "predict":
        raise NotLean("its probabilities are not reviewed")
    if str(getattr(getattr(model, "_label_binarizer", None), "y_type_", "")).startswith("multilabel"):
        raise NotLean("it has several outputs")
    scores, classes = _scores(model), model.classes_

    def binary(rows: Any) -> Any:
        return classes.take((scores(rows) > 0).astype(np.int64), axis=0)

    def several(rows: Any) -> Any:
        return classes.take(scores(rows).argmax(axis=1), axis=0)

    return binary if _is_binary(model) else several


def logistic_regression(model: Any, method: Method, width: int) -> Step:
    """Labels (n,), or probabilities (n, classes)."""
    if method == "predict":
        return linear_classifier(model, method, width)
    from scipy.special import expit

    scores = _scores(model)

    def binary(rows: Any) -> Any:
        positive = scores(rows)
        expit(positive, out=positive)
        return np.stack([1 - positive, positive], axis=1)

    def several(rows: Any) -> Any:
        found = scores(rows)
        found -= found.max(axis=1).reshape(-1, 1)
        np.exp(found, out=found)
        found /= found.sum(axis=1).reshape(-1, 1)
        return found

    return binary if _is_binary(model) else several


def _is_binary(model: Any) -> bool:
    return bool(model.coef_.shape[0] == 1)


def _coefficients(model: Any) -> Any:
    """As they are multiplied with. Coefficients may be sparse."""
    if not isinstance(model.coef_, np.ndarray):
        raise NotLean("its coefficients are sparse")
    return model.coef_ if model.coef_.ndim == 1 else model.coef_.T


def _scores(model: Any) -> Step:
    """Of (n,) for two classes, else (n, classes)."""
    coefficients, intercept = _coefficients(model), model.intercept_
    if coefficients.ndim == 1:
        raise NotLean("its coefficients are of another form")
    single = coefficients.shape[1] == 1

    def step(rows: Any) -> Any:
        require_finite(rows)
        scores = rows @ coefficients + intercept
        return scores.reshape(-1) if single else scores

    return step
