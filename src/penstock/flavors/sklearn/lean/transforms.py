"""Scalers and imputers.

Source: scikit-learn 1.9, `preprocessing/_data.py`, `impute/_base.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from penstock.flavors.sklearn.lean.step import Method, NotLean, Step, require_not_infinite


def standard_scaler(model: Any, method: Method, width: int) -> Step:
    return _moved_and_divided(model.mean_ if model.with_mean else None, model.scale_ if model.with_std else None)


def robust_scaler(model: Any, method: Method, width: int) -> Step:
    center = model.center_ if model.with_centering else None
    return _moved_and_divided(center, model.scale_ if model.with_scaling else None)


def _moved_and_divided(center: Any | None, scale: Any | None) -> Step:
    def step(rows: Any) -> Any:
        require_not_infinite(rows)
        scaled = rows - center if center is not None else rows.copy(order="K")
        if scale is not None:
            scaled /= scale
        return scaled

    return step


def min_max_scaler(model: Any, method: Method, width: int) -> Step:
    scale, least = model.scale_, model.min_
    limits = model.feature_range if model.clip else None

    def step(rows: Any) -> Any:
        require_not_infinite(rows)
        scaled = rows * scale
        scaled += least
        return scaled if limits is None else np.clip(scaled, *limits, out=scaled)

    return step


def max_abs_scaler(model: Any, method: Method, width: int) -> Step:
    scale, clip = model.scale_, getattr(model, "clip", False)

    def step(rows: Any) -> Any:
        require_not_infinite(rows)
        scaled = rows / scale
        return np.clip(scaled, -1.0, 1.0, out=scaled) if clip else scaled

    return step


def simple_imputer(model: Any, method: Method, width: int) -> Step:
    """Where NaN is what is missing, and every column had values."""
    if not (isinstance(model.missing_values, float) and math.isnan(model.missing_values)):
        raise NotLean("it fills in for another value than NaN")
    if model.add_indicator:
        raise NotLean("it adds indicators of what was missing")
    if model.statistics_.dtype != np.float64 or np.isnan(model.statistics_).any():
        raise NotLean("it leaves out columns, or fills in what is no number")
    statistics = model.statistics_

    def step(rows: Any) -> Any:
        require_not_infinite(rows)
        missing = np.isnan(rows)
        return np.where(missing, statistics, rows) if missing.any() else rows

    return step
