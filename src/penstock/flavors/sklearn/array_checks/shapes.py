"""Shapes against the width of a row: what is added to a row, scales it or is multiplied with it is as wide as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused, shape_of, within

# Arrays whose last axis is the row's columns, in every estimator that has them.
_AS_WIDE_AS_ROWS = [
    "center_",
    "cluster_centers_",
    "coef_",
    "components_",
    "data_max_",
    "data_min_",
    "feature_log_prob_",
    "idf_",
    "lambdas_",
    "max_abs_",
    "mean_",
    "means_",
    "min_",
    "scale_",
    "statistics_",
    "theta_",
    "var_",
    "variances_",
    "xbar_",
]
_THREADS = 1024


def check_shapes(estimator: Any, attributes: Attributes) -> None:
    columns = attributes["n_features_in_"]
    if not isinstance(columns, (int, np.integer)) or isinstance(columns, bool) or columns < 0:
        raise refused(estimator, "does not say how wide its rows are")
    for name in _AS_WIDE_AS_ROWS:
        shape = shape_of(attributes.get(name))
        if shape not in ((-1,), ()) and shape[-1] != columns:
            raise refused(estimator, f"takes rows of {columns} columns and has {name} for {shape[-1]}")
    names = attributes.get("feature_names_in_")
    if names is not None and shape_of(names) != (columns,):
        raise refused(estimator, "has names for other columns than its own")


def check_centres(estimator: Any, attributes: Attributes) -> None:
    """Centres of clusters, which compiled code compares with a row over the row's width."""
    columns, centres = attributes["n_features_in_"], attributes["cluster_centers_"]
    if not isinstance(centres, np.ndarray) or centres.ndim != 2 or centres.shape[1] != columns or not len(centres):
        raise refused(estimator, "has centres of another width than its rows")
    if not 1 <= int(attributes.get("_n_threads", 1)) <= _THREADS:
        raise refused(estimator, "states an impossible number of threads")
    waiting = [attributes["_bisecting_tree"]] if "_bisecting_tree" in attributes else []
    while waiting:
        node = waiting.pop()
        if shape_of(node.center) != (columns,):
            raise refused(estimator, "has centres of another width than its rows")
        waiting += [child for child in (node.left, node.right) if child is not None]


def check_labels(estimator: Any, attributes: Attributes) -> None:
    columns = attributes["n_features_in_"]
    if not within(attributes["labels_"], columns) or len(attributes["labels_"]) != columns:
        raise refused(estimator, "has labels for other columns than its own")
