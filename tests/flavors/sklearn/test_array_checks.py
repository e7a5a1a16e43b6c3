"""Forged arrays are refused in a sentence, before native code reads by them; what fitting makes passes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import cluster, ensemble, neighbors, svm
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, SplineTransformer, StandardScaler

from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn.array_checks import check_arrays

DRAW = np.random.default_rng(0)
X = DRAW.random((50, 3))
Y = np.digitize(X[:, 0], [0.3, 0.6])
CATEGORIES = np.array([["a", 1], ["b", 2], ["c", 3]] * 5, dtype=object)
WORDS = ["a1 b1", "b1 c1", "a1 c1"]


def set_to(target: Any, name: str, value: Any) -> None:
    target.__dict__[name] = value


def neighbours(**more: Any) -> Any:
    return neighbors.KNeighborsClassifier(3, **{"algorithm": "kd_tree", "leaf_size": 5, **more}).fit(X, Y)


def with_state(tree: Any, place: int, value: Any) -> Any:
    """A tree made anew, as a file's is, with one part of its state changed."""
    state = list(tree.__getstate__())
    state[place] = value
    kind: Any = type(tree)
    made = kind.__new__(kind)
    made.__setstate__(tuple(state))
    return made


def kd(place: int, change: Callable[[Any], Any]) -> Any:
    model = neighbours()
    model._tree = with_state(model._tree, place, change(np.array(model._tree.__getstate__()[place])))
    return model


def changed(array: Any, index: Any, value: Any) -> Any:
    array = array.copy()
    array[index] = value
    return array


def nodes(field: str, value: int) -> Callable[[Any], Any]:
    def change(found: Any) -> Any:
        found[field][0] = value
        return found

    return change


def edited(model: Any, edit: Callable[[Any], None]) -> Any:
    edit(model)
    return model


HONEST: list[Callable[[], Any]] = [
    neighbours,
    lambda: neighbours(algorithm="ball_tree"),
    lambda: neighbours(algorithm="brute"),
    lambda: neighbours(metric="minkowski", p=3),
    lambda: neighbors.KNeighborsRegressor(3).fit(X, X),
    lambda: neighbors.KNeighborsClassifier(3).fit(X, np.column_stack([Y, Y])),
    lambda: neighbors.KNeighborsClassifier(3, algorithm="brute").fit(sparse.csr_matrix(X), Y),
    lambda: neighbors.RadiusNeighborsClassifier(9.0).fit(X, Y),
    lambda: neighbors.KernelDensity().fit(X, sample_weight=X[:, 0]),
    lambda: svm.SVC(probability=True).fit(X, Y),
    lambda: svm.NuSVC(kernel="poly").fit(X, Y > 0),
    lambda: svm.SVR().fit(X, X[:, 0]),
    lambda: svm.OneClassSVM().fit(X),
    lambda: svm.SVC().fit(sparse.csr_matrix(X), Y),
    lambda: by_kernel(),
    lambda: OneHotEncoder(drop="first").fit(CATEGORIES),
    lambda: OneHotEncoder(drop="if_binary", min_frequency=6).fit(CATEGORIES),
    lambda: OneHotEncoder(max_categories=2, handle_unknown="infrequent_if_exist").fit(CATEGORIES),
    lambda: OrdinalEncoder().fit(np.array([[1.0], [np.nan], [0.5]])),
    lambda: KBinsDiscretizer(3).fit(X),
    lambda: make_column_transformer((OneHotEncoder(), [0]), (SimpleImputer(), [1])).fit(CATEGORIES),
    lambda: TfidfVectorizer().fit(WORDS),
    lambda: DictVectorizer().fit([{"a": 1, "b": "x"}]),
    lambda: cluster.KMeans(3, n_init=1).fit(X),
    lambda: cluster.FeatureAgglomeration(2).fit(X),
    lambda: ensemble.GradientBoostingClassifier(n_estimators=2).fit(X, Y),
    lambda: ensemble.GradientBoostingClassifier(n_estimators=2, init="zero").fit(X, Y > 0),
    lambda: ensemble.GradientBoostingRegressor(n_estimators=2, loss="huber").fit(X, X[:, 0]),
    lambda: with_categories(),
    lambda: SplineTransformer().fit(X),
]


@pytest.mark.parametrize("make", HONEST)
@pytest.mark.filterwarnings("ignore")
def test_what_fitting_makes_passes(make: Callable[[], Any]) -> None:
    check_arrays(make())


def having(model: Any, **stored: Any) -> Any:
    """The model with other attributes, put there as a file's are."""
    model.__dict__.update(stored)
    return model


def boosted() -> Any:
    return ensemble.GradientBoostingClassifier(n_estimators=2).fit(X, Y)


def histograms() -> Any:
    return ensemble.HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0])


def with_categories() -> Any:
    return ensemble.HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(np.round(X * 3), Y)


def vectors() -> Any:
    return svm.SVC().fit(X, Y)


def by_kernel() -> Any:
    return svm.SVC(kernel="precomputed").fit(X @ X.T, Y)


def far_codes(model: Any) -> None:
    model._default_to_infrequent_mappings[0].fill(9)


def centres() -> Any:
    return cluster.KMeans(3, n_init=1).fit(X)


def one_hot(**more: Any) -> Any:
    return OneHotEncoder(**more).fit(CATEGORIES)


def narrow(model: Any) -> None:
    set_to(model, "support_vectors_", model.support_vectors_[:, :1])


def of_one_output(model: Any) -> None:
    set_to(model.init_, "class_prior_", np.ones(1))


def without_bits(model: Any) -> None:
    set_to(model._predictors[0][0], "raw_left_cat_bitsets", np.zeros((1, 1), "u4"))


FORGED: list[tuple[str, Callable[[], Any]]] = [
    ("names points that it does not have", lambda: kd(1, lambda a: np.full_like(a, 2**40))),
    ("names points that it does not have", lambda: kd(1, lambda a: changed(a, 3, -1))),
    ("points are not in it", lambda: kd(2, nodes("idx_end", 2**40))),
    ("points are not in it", lambda: kd(2, nodes("idx_start", -5))),
    ("is no leaf", lambda: kd(2, lambda n: (n["is_leaf"].fill(0), n)[1])),
    ("bounds for other nodes", lambda: kd(3, lambda b: b[:, :2].copy())),
    ("names points", lambda: kd(1, lambda a: a[:7].copy())),
    ("neighbours of another width", lambda: having(neighbours(algorithm="brute"), _fit_X=X[:, :1].copy())),
    ("tree over other rows", lambda: having(neighbours(), n_samples_fit_=7, _fit_X=X[:7])),
    ("labels of classes", lambda: having(neighbours(), _y=np.full(50, 10_000))),
    ("labels for other rows", lambda: having(neighbours(), _y=Y[:4])),
    ("counts other classes", lambda: having(vectors(), _n_support=np.array([2**30, -4, 0], "i4"))),
    ("counts other support", lambda: having(vectors(), _n_support=np.array([2**30, 4, 0], "i4"))),
    ("counts other classes", lambda: having(vectors(), _n_support=np.array([50], "i4"))),
    ("support vectors of another width", lambda: edited(svm.SVR().fit(X, X[:, 0]), narrow)),
    ("coefficients of other", lambda: having(vectors(), _dual_coef_=np.zeros((1, 1)))),
    ("coefficients of other", lambda: having(vectors(), _intercept_=np.zeros(1))),
    ("probabilities of other", lambda: having(vectors(), _probA=np.zeros(1))),
    ("kernel that is not one", lambda: having(vectors(), kernel=np.add)),
    ("solved as another kind", lambda: having(svm.SVR().fit(X, X[:, 0]), _impl="c_svc")),
    ("names support vectors", lambda: edited(by_kernel(), lambda m: m.support_.fill(60))),
    ("indices outside", lambda: edited(sparse.csr_matrix(X), lambda m: m.indices.fill(2**30))),
    ("indices outside", lambda: edited(sparse.csr_matrix(X), lambda m: m.indptr.__setitem__(3, 2**30))),
    ("not in order", lambda: having(OrdinalEncoder().fit(X), categories_=[np.array([3.0, 1, 2])] * 3)),
    ("not in order", lambda: having(OneHotEncoder().fit(X[:, :1]), categories_=[np.array([2, 1])])),
    ("other columns than it has categories", lambda: having(one_hot(), _n_features_outs=[1, 1])),
    ("drops categories", lambda: having(one_hot(drop="first"), _drop_idx_after_grouping=np.array([-5, 0]))),
    ("codes of categories", lambda: edited(one_hot(max_categories=2), far_codes)),
    ("categories of other columns", lambda: having(one_hot(), categories_=[])),
    ("has no column for", lambda: edited(TfidfVectorizer().fit(WORDS), lambda m: m.vocabulary_.update(a1=2**40))),
    ("has no column for", lambda: edited(DictVectorizer().fit([{"a": 1}]), lambda m: m.vocabulary_.update(a=-3))),
    ("centres of another width", lambda: having(centres(), cluster_centers_=np.zeros((3, 1)))),
    ("number of threads", lambda: having(centres(), _n_threads=10**6)),
    ("labels for other", lambda: having(cluster.FeatureAgglomeration(2).fit(X), labels_=np.full(3, 2**40))),
    ("more trees a stage", lambda: having(boosted(), n_trees_per_iteration_=1)),
    ("stage that is no tree", lambda: edited(boosted(), lambda m: set_to(m.estimators_[1, 0], "tree_", "x"))),
    ("tree of another width", lambda: edited(boosted(), lambda m: set_to(m.estimators_[0, 0], "n_features_in_", 1))),
    ("begins with another", lambda: edited(boosted(), of_one_output)),
    ("begins with another", lambda: having(boosted(), init_=DummyRegressor().fit(X, Y))),
    ("loss for another", lambda: having(boosted(), _loss=histograms()._loss)),
    ("being fitted", lambda: having(histograms(), _in_fit=True)),
    ("bins for other columns", lambda: edited(histograms(), lambda m: set_to(m._bin_mapper, "bin_thresholds_", []))),
    ("sets of categories", lambda: edited(histograms(), without_bits)),
    ("encodes other columns", lambda: edited(with_categories(), lambda m: m._preprocessor.transformers_.pop(0))),
    ("fewer knots", lambda: edited(SplineTransformer().fit(X), lambda m: set_to(m.bsplines_[0], "k", 10**6))),
    ("mean_ for 1", lambda: having(StandardScaler().fit(X), mean_=np.zeros(1))),
    ("statistics_ for 9", lambda: having(SimpleImputer().fit(X), statistics_=np.zeros(9))),
    ("coef_ for 2", lambda: having(LogisticRegression().fit(X, Y), coef_=np.zeros((3, 2)))),
    ("idf_ for 1", lambda: edited(TfidfVectorizer().fit(WORDS), lambda m: set_to(m._tfidf, "idf_", np.ones(1)))),
    ("its method predict", lambda: having(LinearRegression().fit(X, Y), predict=np.add)),
    ("lacks what fitting gives it", lambda: edited(neighbours(), lambda m: m.__dict__.pop("n_features_in_"))),
]  # fmt: skip


@pytest.mark.parametrize(("words", "make"), FORGED, ids=[f"{words}-{n}" for n, (words, _) in enumerate(FORGED)])
@pytest.mark.filterwarnings("ignore")
def test_what_fitting_never_makes_is_refused_in_one_sentence(words: str, make: Callable[[], Any]) -> None:
    model = make_pipeline(make())
    with pytest.raises(ArtifactInvalid, match=words) as caught:
        check_arrays(model)
    assert caught.value.hint == "The file is damaged or forged."


def test_a_tree_without_a_width_of_its_own_takes_none_from_around() -> None:
    """What stands around may not look at rows itself, so that its width says nothing of what the tree sees."""
    around = ensemble.BaggingClassifier(n_estimators=1).fit(X, Y)
    del around.estimators_[0].n_features_in_
    with pytest.raises(ArtifactInvalid, match="asks for column"):
        check_arrays(around)


def test_estimators_that_were_never_fitted_pass() -> None:
    model = make_pipeline(neighbors.KNeighborsClassifier(), OneHotEncoder(), svm.SVC())
    check_arrays(model)


def test_a_forged_index_would_have_ended_the_process() -> None:
    """What all of this is for: scikit-learn itself follows the index."""
    code = """
import numpy as np
from sklearn.neighbors import KNeighborsClassifier
X = np.random.default_rng(0).random((150, 4))
model = KNeighborsClassifier(3, algorithm="kd_tree", leaf_size=5).fit(X, X[:, 0] > .5)
state = list(model._tree.__getstate__())
state[1] = np.full_like(state[1], 2**40)
made = type(model._tree).__new__(type(model._tree))
made.__setstate__(tuple(state))
made.query(X[:1])
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
