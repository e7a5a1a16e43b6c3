"""Trees whose nodes lead nowhere else than down the tree, and ask for no column that the rows do not have.

scikit-learn follows the nodes of a loaded tree without looking: a node that points outside makes it read memory that is
not its own, one that points upwards makes it go round for ever. A file that holds data alone must do neither, so
what fitting would never make is refused. Each node's children come after it, as scikit-learn's builders write them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from penstock.errors import ArtifactInvalid

_TREE = ("sklearn.tree._tree", "Tree")
_PREDICTOR = ("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor")

# Estimators that hand the rows to trees of their own.
_ASKED_DIRECTLY = ("sklearn.tree.", "sklearn.ensemble._forest", "sklearn.ensemble._gb", "sklearn.ensemble._hist")

# Ensembles that look at the rows' width themselves, and then ask the trees of their members directly.
_ASK_TREES = frozenset({"sklearn.ensemble._forest", "sklearn.ensemble._gb"})


class _Around(NamedTuple):
    """What stands around an object: the columns that the rows it sees surely have, whether those are the most for all
    inside as well, and the nearest estimator."""

    columns: int
    for_all: bool
    estimator: Any


def check_trees(model: Any) -> None:
    """Raises ArtifactInvalid for a tree that could lead outside."""
    waiting: list[tuple[Any, _Around]] = [(model, _Around(0, False, None))]
    seen: set[int] = set()
    while waiting:
        found, around = waiting.pop()
        if isinstance(found, (str, bytes, int, float, bool, type(None))) or id(found) in seen:
            continue
        seen.add(id(found))
        kind = (type(found).__module__, type(found).__name__)
        if kind == _TREE:
            _check_tree(found, around)
        elif kind == _PREDICTOR:
            _check_predictor(found, around)
        elif isinstance(found, dict):
            waiting += [(value, around) for value in found.values()]
        elif isinstance(found, (list, tuple)):
            waiting += [(value, around) for value in found]
        elif isinstance(found, np.ndarray):
            waiting += [(value, around) for value in found.flat] if found.dtype == object else []
        elif isinstance(inside := getattr(found, "__dict__", None), dict):
            own = _within(found, inside, around)
            waiting += [(value, own) for value in inside.values()]


def _within(holder: Any, inside: dict[str, Any], around: _Around) -> _Around:
    columns = inside.get("n_features_in_")
    if not isinstance(columns, (int, np.integer)):
        # scikit-learn does not look at the width of rows for an estimator that states none.
        asks = not around.for_all and type(holder).__module__.startswith(_ASKED_DIRECTLY)
        return around._replace(columns=0) if asks else around
    most = min(int(columns), around.columns) if around.for_all else int(columns)
    return _Around(most, around.for_all or type(holder).__module__ in _ASK_TREES, holder)


def _check_tree(tree: Any, around: _Around) -> None:
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = np.flatnonzero(left != -1)
    _check(inner, (left[inner], right[inner]), feature[inner], len(left), around)


def _check_predictor(predictor: Any, around: _Around) -> None:
    nodes = predictor.nodes
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    asked = nodes[inner]
    children = (asked["left"].astype(np.int64), asked["right"].astype(np.int64))
    _check(inner, children, asked["feature_idx"], len(nodes), around)
    by_category = asked[asked["is_categorical"] != 0]
    if not len(by_category):
        return
    known = getattr(getattr(around.estimator, "_bin_mapper", None), "is_categorical_", None)
    if (
        not isinstance(known, np.ndarray)
        or known.shape != (around.columns,)
        or not known[by_category["feature_idx"]].all()
        or by_category["bitset_idx"].max() >= len(predictor.raw_left_cat_bitsets)
    ):
        raise _odd("asks for categories that it does not have")


def _check(
    inner: np.ndarray[Any, Any],
    children: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    feature: np.ndarray[Any, Any],
    count: int,
    around: _Around,
) -> None:
    if not count:
        raise _odd("has no nodes")
    if any(((child <= inner) | (child >= count)).any() for child in children):
        raise _odd("has a node whose children are not below it")
    if len(feature) and (feature.min() < 0 or feature.max() >= around.columns):
        raise _odd(f"asks for column {int(feature.max())} of {around.columns}")


def _odd(why: str) -> ArtifactInvalid:
    return ArtifactInvalid(f"The model holds a tree that {why}.", hint="The file is damaged or forged.")
