"""Metrics of a model on the data that it was fitted with, under MLflow's names.

Which they are, and how averages are taken: MLflow 3.18, `mlflow/sklearn/utils.py`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

from penstock.fluent.autologging.options import AutologOptions

_PREFIX = "training_"


def training_metrics(estimator: Any, rows: Any, target: Any, weights: Any, options: AutologOptions) -> dict[str, float]:
    """Those that can be computed; of the others a warning says why not. Without a target there are none."""
    if target is None:
        return {}
    kinds = import_module("sklearn.base")
    found: dict[str, float] = {}
    if kinds.is_classifier(estimator):
        found = _of_classifier(estimator, rows, target, weights, options)
    elif kinds.is_regressor(estimator):
        found = _of_regressor(estimator, rows, target, weights, options)
    if hasattr(estimator, "score"):
        weighed = "sample_weight" in inspect.signature(estimator.score).parameters
        score = options.quietly(lambda: estimator.score(rows, target, *([weights] if weighed else [])))
        found["score"] = score
    return {f"{_PREFIX}{name}": float(value) for name, value in found.items() if value is not None}


def _of_classifier(estimator: Any, rows: Any, target: Any, weights: Any, options: AutologOptions) -> dict[str, Any]:
    metrics = import_module("sklearn.metrics")
    answers = estimator.predict(rows)
    averaged = {"average": "weighted" if options.pos_label is None else "binary", "pos_label": options.pos_label}
    if options.pos_label is None:
        del averaged["pos_label"]
    weighed = {"sample_weight": weights}
    found = {
        name: _computed(options, lambda name=name: getattr(metrics, name)(target, answers, **averaged, **weighed))  # type: ignore[misc]
        for name in ("precision_score", "recall_score", "f1_score")
    }
    found["accuracy_score"] = _computed(options, lambda: metrics.accuracy_score(target, answers, **weighed))
    if hasattr(estimator, "predict_proba"):
        chances = estimator.predict_proba(rows)
        found["log_loss"] = _computed(options, lambda: metrics.log_loss(target, chances, **weighed))
        likely = chances[:, 1] if len(chances[0]) == 2 else chances
        ranked = {"average": "weighted", "multi_class": "ovo", **weighed}
        found["roc_auc"] = _computed(options, lambda: metrics.roc_auc_score(target, likely, **ranked))
    return found


def _of_regressor(estimator: Any, rows: Any, target: Any, weights: Any, options: AutologOptions) -> dict[str, Any]:
    metrics = import_module("sklearn.metrics")
    answers = estimator.predict(rows)
    found = {
        name: _computed(options, lambda name=name: getattr(metrics, name)(target, answers, sample_weight=weights))  # type: ignore[misc]
        for name in ("mean_squared_error", "mean_absolute_error", "r2_score")
    }
    squared = found["mean_squared_error"]
    return {**found, "root_mean_squared_error": None if squared is None else math.sqrt(squared)}


def _computed(options: AutologOptions, measure: Callable[[], Any]) -> Any:
    return options.quietly(measure)
