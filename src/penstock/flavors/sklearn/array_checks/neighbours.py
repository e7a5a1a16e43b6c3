"""Neighbours: k-d trees and ball trees, whose nodes are followed by number, and the estimators that hold them.

Source: scikit-learn, neighbors/_binary_tree.pxi and metrics/_pairwise_distances_reduction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused, shape_of, within

_STATE_OF_METRIC, _STATE_OF_WEIGHTS = 11, 12


def check_tree(tree: Any, attributes: Attributes) -> None:
    """Each node's points are points of the data, and each inner node has both children."""
    data, nodes, bounds = np.asarray(tree.data), np.asarray(tree.node_data), np.asarray(tree.node_bounds)
    points, columns = data.shape
    if not points or not columns or not len(nodes):
        raise refused(tree, "has no points")
    if not within(np.asarray(tree.idx_array), points) or len(tree.idx_array) != points:
        raise refused(tree, "names points that it does not have")
    start, end = nodes["idx_start"], nodes["idx_end"]
    if (start < 0).any() or (end < start).any() or (end > points).any():
        raise refused(tree, "has a node whose points are not in it")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    if len(inner) and 2 * int(inner.max()) + 2 >= len(nodes):
        raise refused(tree, "has a node without children that is no leaf")
    if bounds.shape != (2 if type(tree).__name__ == "KDTree" else 1, len(nodes), columns):
        raise refused(tree, "has bounds for other nodes than its own")
    _check_metric(tree, points, columns)


def _check_metric(tree: Any, points: int, columns: int) -> None:
    state = tree.__getstate__()
    metric, weights = state[_STATE_OF_METRIC], state[_STATE_OF_WEIGHTS]
    if metric is None:
        raise refused(tree, "has no metric")
    _, vector, matrix = (np.asarray(part) for part in metric.__getstate__()[:3])
    # Metrics without weights of columns keep a vector and a matrix of one number.
    if vector.shape not in ((0,), (1,), (columns,)) or matrix.shape not in ((0, 0), (1, 1), (columns, columns)):
        raise refused(tree, "has a metric for other columns")
    if type(metric).__name__.startswith("Minkowski") and vector.shape not in ((0,), (columns,)):
        raise refused(tree, "has a metric for other columns")
    if weights is not None and shape_of(weights) != (points,):
        raise refused(tree, "has weights for other points")


def check_neighbours(estimator: Any, attributes: Attributes) -> None:
    """The stored rows are as wide as those that come, the tree is over them, and each has a label that is known."""
    columns = attributes["n_features_in_"]
    points = attributes["n_samples_fit_"]
    if shape_of(attributes["_fit_X"]) != (points, columns):
        raise refused(estimator, "has neighbours of another width than its rows")
    tree = attributes["_tree"]
    if tree is not None and np.asarray(tree.data).shape != (points, columns):
        raise refused(estimator, "has a tree over other rows than its own")
    if "_y" in attributes:
        _check_targets(estimator, attributes, points)


def _check_targets(estimator: Any, attributes: Attributes, points: int) -> None:
    targets = attributes["_y"]
    if shape_of(targets)[0] != points:
        raise refused(estimator, "has labels for other rows than its own")
    if "classes_" not in attributes:
        return
    classes = attributes["classes_"]
    columns = targets.reshape(points, -1).T
    lists = classes if isinstance(classes, list) else [classes]
    if len(columns) != len(lists) or not all(within(c, len(k)) for c, k in zip(columns, lists, strict=True)):
        raise refused(estimator, "has labels of classes that it does not have")


def check_density(estimator: Any, attributes: Attributes) -> None:
    if np.asarray(attributes["tree_"].data).shape[1] != attributes["n_features_in_"]:
        raise refused(estimator, "has a tree of another width than its rows")
