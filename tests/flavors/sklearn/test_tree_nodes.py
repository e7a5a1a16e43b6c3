"""Trees from a file are followed without looking, so forged ones are refused before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn import ensemble, tree
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn.tree_nodes import check_trees
from penstock.loading import load_path
from penstock.package.save import save_model

DRAW = np.random.default_rng(0)
X = DRAW.random((120, 4))
Y = (X[:, 0] + X[:, 1] > 1).astype(int)
WITH_CATEGORIES = np.column_stack([X[:, :3], DRAW.integers(0, 5, 120)])
BY_CATEGORY = (WITH_CATEGORIES[:, 3] % 2).astype(int)


def forest() -> Any:
    return ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)


def boosted() -> Any:
    return ensemble.HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5, categorical_features=[3]).fit(
        WITH_CATEGORIES, BY_CATEGORY
    )


@pytest.mark.parametrize(
    "estimator",
    [
        tree.DecisionTreeClassifier(), tree.ExtraTreeRegressor(), ensemble.RandomForestRegressor(2),
        ensemble.ExtraTreesClassifier(2), ensemble.GradientBoostingClassifier(n_estimators=2),
        ensemble.IsolationForest(n_estimators=2, max_features=0.5),
        ensemble.BaggingClassifier(n_estimators=2, max_features=2), ensemble.AdaBoostClassifier(n_estimators=2),
        ensemble.HistGradientBoostingRegressor(max_iter=2), ensemble.RandomTreesEmbedding(2),
        ensemble.StackingClassifier([("a", tree.DecisionTreeClassifier()), ("b", ensemble.RandomForestClassifier(2))]),
        make_pipeline(StandardScaler(), ensemble.RandomForestClassifier(2)),
    ],
    ids=lambda estimator: type(estimator).__name__,
)  # fmt: skip
def test_what_fitting_makes_passes(estimator: Any) -> None:
    check_trees(estimator.fit(X, Y))


def test_boosted_trees_over_categories_pass_the_check() -> None:
    model = boosted()
    assert any(node["is_categorical"] for stage in model._predictors for node in stage[0].nodes)
    check_trees(model)


def test_a_tree_of_one_node_passes_the_check() -> None:
    check_trees(tree.DecisionTreeClassifier().fit(X, np.zeros(len(X))))


def forged(state: dict[str, Any], field: str, node: int, value: int) -> Any:
    """A tree with one number changed, made as a file's tree is."""
    nodes = state["nodes"].copy()
    nodes[field][node] = value
    return {**state, "nodes": nodes}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("left_child", 0, "children are not below"),
        ("left_child", 10_000, "children are not below"),
        ("right_child", -7, "children are not below"),
        ("feature", 4, "asks for column 4 of 4"),
        ("feature", -5, "asks for column"),
    ],
)
def test_forged_nodes_are_refused(field: str, value: int, words: str) -> None:
    model = make_pipeline(StandardScaler(), forest()).fit(X, Y)
    honest = model[-1].estimators_[1]
    made = tree._tree.Tree(4, np.array([2]), 1)
    made.__setstate__(forged(honest.tree_.__getstate__(), field, 0, value))
    honest.tree_ = made
    with pytest.raises(ArtifactInvalid, match=words):
        check_trees(model)


def test_a_member_that_claims_more_columns_than_its_forest_checks_is_refused() -> None:
    model = forest()
    member = model.estimators_[1]
    made = tree._tree.Tree(100, np.array([2]), 1)
    made.__setstate__(forged(member.tree_.__getstate__(), "feature", 0, 50))
    member.tree_, member.n_features_in_ = made, 100
    with pytest.raises(ArtifactInvalid, match="asks for column 50 of 4"):
        check_trees(model)


def test_a_tree_without_nodes_is_refused() -> None:
    model = tree.DecisionTreeClassifier().fit(X, Y)
    model.tree_ = tree._tree.Tree(4, np.array([2]), 1)
    with pytest.raises(ArtifactInvalid, match="has no nodes"):
        check_trees(model)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("left", 0, "children are not below"),
        ("right", 2**32 - 1, "children are not below"),
        ("feature_idx", 4, "asks for column 4 of 4"),
        ("bitset_idx", 10_000, "categories that it does not have"),
        ("feature_idx", 1, "categories that it does not have"),
    ],
)
def test_forged_nodes_of_boosted_trees_are_refused(field: str, value: int, words: str) -> None:
    model = boosted()
    nodes = model._predictors[0][0].nodes
    nodes[field][np.flatnonzero(nodes["is_categorical"])[0]] = value
    with pytest.raises(ArtifactInvalid, match=words):
        check_trees(model)


def test_a_package_with_a_forged_tree_is_refused_and_nothing_crashes(tmp_path: Path) -> None:
    package = save_model(forest(), tmp_path / "forest", example=X[:3])
    model = forest()
    made = tree._tree.Tree(4, np.array([2]), 1)
    made.__setstate__(forged(model.estimators_[0].tree_.__getstate__(), "left_child", 0, 2**40))
    model.estimators_[0].tree_ = made
    skops.io.dump(model, package.path / "model.skops")
    (package.path / "SHA256SUMS").unlink()
    with pytest.raises(ArtifactInvalid, match=r"children are not below it.*damaged or forged"):
        load_path(package.path)
