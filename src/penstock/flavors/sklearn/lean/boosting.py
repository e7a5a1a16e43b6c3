"""Histogram gradient boosting: scikit-learn's compiled predictors, asked directly.

Source: scikit-learn 1.9, `ensemble/_hist_gradient_boosting/gradient_boosting.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.lean.step import Method, NotLean, Step, require_not_infinite

# Up to so many rows are predicted by one thread: several would wait for the last of them at every tree.
_FEW = 256


def histogram_boosting(model: Any, method: Method, width: int) -> Step:
    """A classifier's labels (n,) or probabilities (n, classes), a regressor's values (n,)."""
    if getattr(model, "_preprocessor", None) is not None:
        raise NotLean("it has categories")
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads as all_threads

    baseline = model._baseline_prediction
    bitsets, indices = model._bin_mapper.make_known_categories_bitsets()
    stages = [[each.predict for each in stage] for stage in model._predictors]
    scored = model.n_trees_per_iteration_
    for stage in model._predictors:
        for each in stage:
            named = each.nodes["feature_idx"][each.nodes["is_leaf"] == 0]
            if len(named) and not 0 <= named.min() <= named.max() < width:
                raise NotLean("a tree of it is for other columns")

    def raw(rows: Any) -> Any:
        require_not_infinite(rows)
        scores = np.zeros((len(rows), scored), baseline.dtype, order="F")
        scores += baseline
        threads = 1 if len(rows) <= _FEW else all_threads()
        for stage in stages:
            for place, predict in enumerate(stage):
                scores[:, place] += predict(rows, bitsets, indices, threads)
        return scores

    classes = getattr(model, "classes_", None)
    if classes is None:
        inverse = model._loss.link.inverse
        return lambda rows: inverse(raw(rows).ravel())
    if method == "predict_proba":
        probabilities = model._loss.predict_proba
        return lambda rows: probabilities(raw(rows))
    if scored == 1:
        return lambda rows: classes[(raw(rows).ravel() > 0).astype(int)]
    return lambda rows: classes[raw(rows).argmax(axis=1)]
