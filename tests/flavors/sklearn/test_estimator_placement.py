"""Every reviewed type is decided, and what a few estimators say in their attributes decides for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.random_projection import SparseRandomProjection
from sklearn.svm import SVC, LinearSVC

from flavors.sklearn.skops_files import described, written
from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn import estimator_placement
from penstock.flavors.sklearn.estimator_names import installed_estimators
from penstock.flavors.sklearn.judgement import judge
from penstock.flavors.sklearn.placement_table import APART, GATEWAY
from penstock.flavors.sklearn.trusted_types import TRUSTED_TYPES

X = np.random.default_rng(0).random((60, 3))
Y = (X[:, 0] > 0.5).astype(int)


def test_every_reviewed_type_is_decided_once_and_for_a_reason() -> None:
    reviewed = TRUSTED_TYPES | (installed_estimators() or frozenset())
    assert sorted(reviewed - GATEWAY.keys() - APART.keys()) == []
    assert GATEWAY.keys() & APART.keys() == set()
    assert all([*GATEWAY.values(), *APART.values()])
    of_skops = {n for n in GATEWAY if n.startswith(("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast."))}
    assert sorted((GATEWAY.keys() | APART.keys()) - reviewed - of_skops) == []


@pytest.mark.parametrize(
    "model",
    [
        lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(X, Y),
        lambda: make_column_transformer((OneHotEncoder(), [0]), (StandardScaler(), [1, 2])).fit(np.round(X, 1)),
        lambda: make_pipeline(FunctionTransformer(np.log1p), PCA(2), LinearSVC()).fit(X, Y),
        lambda: make_pipeline(PolynomialFeatures(3), SGDClassifier()).fit(X, Y),
        lambda: RandomForestClassifier(3).fit(X, Y),
        lambda: _encodes_wide(),
        lambda: make_union(PolynomialFeatures(2), StandardScaler()).fit(X),
        lambda: SparseRandomProjection(2).fit(X),
        lambda: IsotonicRegression().fit(np.arange(20_000), np.arange(20_000)),
        lambda: StackingClassifier([("a", RandomForestClassifier(3)), ("b", LogisticRegression())]).fit(X, Y),
        lambda: HistGradientBoostingClassifier(max_iter=3).fit(X, Y),
        lambda: GradientBoostingRegressor(n_estimators=3).fit(X, Y),
        lambda: MLPClassifier([200, 200], max_iter=1).fit(X, Y),
        lambda: KMeans(3, n_init=1).fit(np.tile(X, (300, 1))),  # as many labels as rows, which no request meets
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_models_whose_rows_have_a_bounded_cost_may_run_in_the_gateway(tmp_path: Path, model: Any) -> None:
    assert judge(written(tmp_path, model())) == ((), ())


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: KNeighborsClassifier(3).fit(X, Y), "KNeighborsClassifier searches stored neighbours"),
        (lambda: SVC().fit(X, Y), "SVC computes a kernel"),
        (lambda: GaussianProcessRegressor(optimizer=None).fit(X, Y), "GaussianProcessRegressor computes a kernel"),
        (lambda: make_pipeline(FunctionTransformer(np.log1p, kw_args={"where": True})).fit(X), "passes arguments"),
        (lambda: make_pipeline(FunctionTransformer(np.matmul)), "calls numpy.matmul"),
        (lambda: PolynomialFeatures(9).fit(np.ones((2, 12))), "PolynomialFeatures makes more than 16,384 features"),
        (lambda: GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(X, Y), "begins with"),
        (lambda: LinearRegression().fit(X[:2], np.ones((2, 20_000))), "makes a row 20,000 numbers"),
        (lambda: OneHotEncoder(sparse_output=False).fit(np.arange(17_000).reshape(-1, 1)), "17,000 numbers wide"),
        (lambda: _encodes_wide(sparse_threshold=0), "its parts make a row 17,0"),
        (lambda: make_union(*[PolynomialFeatures(3) for _ in range(9)]).fit(np.ones((2, 22))), "numbers wide together"),
        (lambda: _with(SparseRandomProjection(2).fit(X), components_=csr_matrix((17_000, 3))), "wide (components_)"),
        (lambda: _with(LogisticRegression().fit(X, Y), coef_=csr_matrix((17_000, 3))), "17,000 numbers wide (coef_)"),
        (lambda: _with(LogisticRegression().fit(X, Y), intercept_=[0.0] * 17_000), "17,000 numbers wide (intercept_)"),
        (lambda: _with(GaussianMixture(2).fit(X), weights_=np.ones((17_000, 1))), "17,000 numbers wide (weights_)"),
        (lambda: _with(IsolationForest(n_estimators=3).fit(X), offset_=np.ones((17_000, 1))), "wide (offset_)"),
        (lambda: _with(_encodes_wide(), verbose_feature_names_out="{feature_name:>99999999}"), "by a format"),
    ],
)  # fmt: skip
def test_others_run_apart_and_it_says_why(tmp_path: Path, model: Any, why: str) -> None:
    found = judge(written(tmp_path, model()))
    assert found.code == ()
    assert any(why in reason for reason in found.apart)


def test_one_array_cannot_stand_for_another(tmp_path: Path) -> None:
    """skops takes the first array of a number for all, whatever file a later description names."""
    path = written(tmp_path, [PCA(2).fit(X), PCA(2).fit(X)])

    def swap(schema: dict[str, Any]) -> None:
        one, other = (node["content"]["content"] for node in schema["content"])
        other["components_"] = {**one["components_"], "file": other["mean_"]["file"]}

    with pytest.raises(ArtifactInvalid, match="in two ways"):
        judge(described(path, swap))


def _encodes_wide(**options: Any) -> Any:
    rows = np.column_stack([np.arange(17_000), np.ones(17_000)])
    made = make_column_transformer((OneHotEncoder(), [0]), (StandardScaler(), [1])).fit(rows)
    made.set_params(**options)  # only now, since a dense one would make all its rows of that width while it is fitted
    made.sparse_output_ = "sparse_threshold" not in options
    return made


def _with(estimator: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(estimator, name, value)
    return estimator


def test_a_scikit_learn_that_nobody_reviewed_runs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, LogisticRegression().fit(X, Y))
    monkeypatch.setattr("penstock.flavors.sklearn.judgement.installed_estimators", lambda: None)
    assert judge(path).apart == ("the installed version of scikit-learn was not reviewed for the gateway",)


def test_the_bound_of_a_batch_is_stated() -> None:
    assert estimator_placement.CELLS_PER_ROW * 1024 * 8 == 128 * 1024**2
