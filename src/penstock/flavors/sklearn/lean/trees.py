"""Decision trees and what is made of many: scikit-learn's compiled trees, asked directly.

Source: scikit-learn 1.9, `tree/_classes.py`, `ensemble/_forest.py`, `ensemble/_gb.py`. A compiled tree reads the
columns that its nodes name, whatever the rows have: each tree must be one for rows of this width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.flavors.sklearn.lean.step import Method, NotLean, Step, require_finite

_FLOAT32 = np.float32


def decision_tree(model: Any, method: Method, width: int) -> Step:
    """A classifier's labels (n,) or probabilities (n, classes), a regressor's values (n,)."""
    _require_one_output(model)
    (tree,) = _compiled([model], getattr(model, "n_classes_", 1), width)

    def leaves(rows: Any) -> Any:
        return tree.predict(_as_float32(rows))

    return _answers(model, method, leaves)


def forest(model: Any, method: Method, width: int) -> Step:
    """The same of the mean of the trees."""
    _require_one_output(model)
    classes = getattr(model, "n_classes_", 1)
    trees = _compiled(model.estimators_, classes, width)

    def mean(rows: Any) -> Any:
        given = _as_float32(rows)
        total = np.zeros((len(rows), classes))
        for tree in trees:
            total += tree.predict(given)
        total /= len(trees)
        return total

    return _answers(model, method, mean)


def gradient_boosting(model: Any, method: Method, width: int) -> Step:
    """A classifier's labels (n,) or probabilities (n, classes), a regressor's values (n,)."""
    from sklearn.ensemble._gradient_boosting import predict_stages

    stages, rate = model.estimators_, model.learning_rate
    _compiled(stages.ravel().tolist(), 1, width)
    start = _start(model)

    def raw(rows: Any) -> Any:
        given = np.ascontiguousarray(_as_float32(rows))
        scores = np.repeat(start, len(rows), axis=0)
        predict_stages(stages, given, rate, scores)
        return scores

    classes = getattr(model, "classes_", None)
    if classes is None:
        return lambda rows: raw(rows).ravel()
    if method == "predict_proba":
        probabilities = model._loss.predict_proba
        single = stages.shape[1] == 1
        return lambda rows: probabilities(raw(rows).ravel() if single else raw(rows))
    if stages.shape[1] == 1:
        return lambda rows: classes[(raw(rows).ravel() >= 0).astype(int)]
    return lambda rows: classes[raw(rows).argmax(axis=1)]


def _start(model: Any) -> Any:
    """What all rows begin with, (1, scores): it is the same for every row where nothing but a constant was fitted."""
    if isinstance(model.init_, str):
        return np.zeros((1, model.n_trees_per_iteration_))
    if type(model.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise NotLean("it begins with an estimator of the user's")
    return model._raw_predict_init(np.zeros((1, model.n_features_in_), _FLOAT32))


def _answers(model: Any, method: Method, values: Step) -> Step:
    """What a model makes of the values (n, classes) or (n, 1) of its trees."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        return lambda rows: values(rows)[:, 0]
    if method == "predict_proba":
        return values
    return lambda rows: classes.take(values(rows).argmax(axis=1), axis=0)


def _as_float32(rows: Any) -> Any:
    """As all trees take them. Raises RowsUnfit for rows with what is not finite then."""
    given = rows.astype(_FLOAT32)
    require_finite(given)
    return given


def _compiled(estimators: Sequence[Any], classes: int, width: int) -> list[Any]:
    """Their trees. Raises NotLean for one that is for other rows, or gives values of another form."""
    trees = [each.tree_ for each in estimators]
    if any(tree.n_features != width or tree.n_outputs != 1 or tree.max_n_classes != classes for tree in trees):
        raise NotLean("a tree of it is for other columns or classes")
    return trees


def _require_one_output(model: Any) -> None:
    if model.n_outputs_ != 1:
        raise NotLean("it has several outputs")
