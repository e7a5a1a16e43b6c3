"""Values about which an estimator's columns lie, as far as its fitted parts tell."""

from __future__ import annotations

from typing import Any

import numpy as np

# Thresholds of one column that are made rows of, at most.
_MOST = 64


def known_values(estimator: Any, width: int) -> Any:
    """(k, width), k > 0, all finite: means and what is a scale away from them, and thresholds of trees with their
    neighbours. A pipeline's first step tells, a column transformer's transformers tell of their own columns."""
    columns: list[list[float]] = [[0.0, 1.0, -1.0] for _ in range(width)]
    _add(estimator, list(range(width)), columns)
    most = max(map(len, columns))
    found = np.array([np.resize(column, most) for column in columns], np.float64).T
    return np.where(np.isfinite(found), found, 0.0)


def _add(part: Any, places: list[int], columns: list[list[float]]) -> None:
    """What a part tells of columns at these places."""
    if hasattr(part, "steps"):
        # Steps that keep the columns are looked through: the trees behind a scaler know other values.
        _add(part.steps[0][1], places, columns)
        return
    if hasattr(part, "_transformer_to_input_indices"):
        for name, inner, _ in part.transformers_:
            indices = [places[index] for index in part._transformer_to_input_indices[name]]
            if not isinstance(inner, str) and indices:
                _add(inner, indices, columns)
        return
    for center, scale in (("mean_", "scale_"), ("center_", "scale_"), ("data_min_", "data_range_")):
        centers, scales = _numbers(part, center), _numbers(part, scale)
        if len(centers) == len(scales) == len(places):
            for place, middle, width in zip(places, centers, scales, strict=True):
                columns[place] += [middle, middle + width, middle - 2 * width]
    if len(statistics := _numbers(part, "statistics_")) == len(places):
        for place, value in zip(places, statistics, strict=True):
            columns[place].append(value)
    _add_thresholds(part, places, columns)


def _numbers(part: Any, name: str) -> list[float]:
    """An attribute (n,) of numbers; empty where it is none."""
    found = np.asarray(getattr(part, name, ()))
    return found.tolist() if found.ndim == 1 and found.dtype.kind in "fiu" else []


def _add_thresholds(part: Any, places: list[int], columns: list[list[float]]) -> None:
    trees = [part, *np.ravel(getattr(part, "estimators_", [])).tolist()]
    found: dict[int, set[float]] = {}
    for tree in trees:
        inner = getattr(tree, "tree_", None)
        if inner is None:
            continue
        for feature, threshold in zip(inner.feature.tolist(), inner.threshold.tolist(), strict=True):
            if 0 <= feature < len(places):
                found.setdefault(feature, set()).add(threshold)
    for stage in getattr(part, "_predictors", []):
        for predictor in stage:
            nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            for feature, threshold in zip(nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist(), strict=True):
                if 0 <= feature < len(places):
                    found.setdefault(feature, set()).add(threshold)
    for feature, thresholds in found.items():
        some = sorted(thresholds)[:: max(1, len(thresholds) // _MOST)]
        columns[places[feature]] += [*some, *(float(np.nextafter(one, np.inf)) for one in some)]
