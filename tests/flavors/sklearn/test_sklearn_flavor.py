"""scikit-learn: the quick way for blocks of numbers answers exactly as frames do, and damage is named."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_limits

from penstock.errors import PredictError
from penstock.flavors import LoadContext
from penstock.flavors.frames import from_frame
from penstock.flavors.sklearn.flavor import SklearnFlavor, SklearnOptions
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.manifest import Manifest
from penstock.payload import Payload, Table, Tensors, Value
from penstock.wire.mlflow.answers import answer_value

RANDOM = np.random.default_rng(7)
NUMBERS = pd.DataFrame(RANDOM.normal(size=(60, 4)), columns=["d", "b", "a", "c"])
NUMBERS["b"] = NUMBERS["b"].round(1)
LABELS = np.where(NUMBERS["a"] + NUMBERS["b"] > 0, "yes", "no")
WORDS = pd.DataFrame(
    {
        "colour": RANDOM.choice(["red", "green", "blue"], 60),
        "size": RANDOM.normal(size=60),
        "shape": RANDOM.choice(["round", "square"], 60),
        "count": RANDOM.integers(0, 9, 60),
    }
)


def first_column(frame: Any) -> Any:
    """Looks at names: the block alone would not do."""
    return frame[["a"]] if isinstance(frame, pd.DataFrame) else frame[:, :1]


class Named(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Not scikit-learn's: it may look at names as it pleases."""

    def fit(self, X: Any, y: Any) -> Any:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[(X["a"] > 0).to_numpy().astype(int)]


def predictor(estimator: Any, function: str = "predict") -> SklearnPredictor:
    return SklearnPredictor(estimator, function)


def alike(one: Any, other: Any) -> bool:
    """Equal, but for what a matrix product gains or loses in its last digits with the order in memory."""
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return one.dtype == other.dtype and np.allclose(one, other, rtol=1e4 * np.finfo(one.dtype).eps, atol=1e-14)


def given(made: SklearnPredictor, payload: Payload) -> type:
    """What the estimator is handed for a payload."""
    seen: list[type] = []

    def call(X: Any, **_: Any) -> Any:
        seen.append(type(X))
        return np.zeros(1)

    made._call = call
    made.predict(payload, {})
    return seen[0]


NUMERIC = [
    LogisticRegression(),
    SGDClassifier(random_state=0),
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(8, random_state=0),
    GradientBoostingClassifier(n_estimators=5, random_state=0),
    HistGradientBoostingClassifier(max_iter=5, random_state=0),
    KNeighborsClassifier(),
    SVC(random_state=0),
    GaussianNB(),
    MLPClassifier((4,), max_iter=20, random_state=0),
    BaggingClassifier(n_estimators=3, random_state=0),
    CalibratedClassifierCV(GaussianNB(), cv=2),
    VotingClassifier([("g", GaussianNB()), ("t", DecisionTreeClassifier(random_state=0))]),
    StackingClassifier([("g", GaussianNB()), ("l", LogisticRegression())], cv=2),
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    make_pipeline(StandardScaler(), PCA(2), LogisticRegression()),
    make_pipeline(SimpleImputer(), PolynomialFeatures(2), SelectKBest(k=3), LogisticRegression()),
    make_pipeline(FeatureUnion([("p", PCA(2)), ("m", MinMaxScaler())]), LogisticRegression()),
    make_pipeline("passthrough", LogisticRegression()),
]
LOOKS_AT_FRAMES = [
    make_pipeline(FunctionTransformer(first_column), LogisticRegression()),
    make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression()),
    Pipeline([("s", StandardScaler()), ("l", LogisticRegression())]).set_output(transform="pandas"),
    make_pipeline(ColumnTransformer([("keep", "passthrough", ["a", "b"])]), LogisticRegression()),
    make_pipeline(
        ColumnTransformer([("scale", StandardScaler(), make_column_selector("^[ab]$"))], remainder="drop"),
        LogisticRegression(),
    ),
    make_pipeline(
        FeatureUnion([("f", FunctionTransformer(first_column)), ("m", MinMaxScaler())]), LogisticRegression()
    ),
    VotingClassifier([("n", Named()), ("g", GaussianNB())]),
    GridSearchCV(make_pipeline(FunctionTransformer(first_column), LogisticRegression()), {}, cv=2),
    Named(),
]


def fitted(estimator: Any, X: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, when fitting
        return sklearn.base.clone(estimator).fit(X, y)


@pytest.mark.parametrize("on_frame", [True, False])
@pytest.mark.parametrize("estimator", NUMERIC, ids=lambda e: type(e).__name__)
def test_blocks_answer_exactly_as_frames_do(estimator: Any, on_frame: bool) -> None:
    model = fitted(estimator, NUMBERS if on_frame else NUMBERS.to_numpy(), LABELS)
    function = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    made = predictor(model, function)
    table = from_frame(NUMBERS)
    assert table.block is not None
    answer = made.predict(table, {})
    assert isinstance(answer, Tensors)
    expected = getattr(model, function)(NUMBERS if on_frame else NUMBERS.to_numpy())
    assert alike(answer.arrays[0], expected)
    assert given(made, table) is np.ndarray


@pytest.mark.parametrize("estimator", LOOKS_AT_FRAMES, ids=lambda e: type(e).__name__)
def test_estimators_that_may_look_at_names_get_frames(estimator: Any) -> None:
    model = fitted(estimator, NUMBERS, LABELS)
    made = predictor(model)
    assert given(made, from_frame(NUMBERS)) is pd.DataFrame
    assert answer_value(predictor(model).predict(from_frame(NUMBERS), {})) == model.predict(NUMBERS).tolist()


def test_columns_of_text_and_numbers_answer_as_the_estimator() -> None:
    columns = ColumnTransformer(
        [
            ("words", OneHotEncoder(handle_unknown="ignore"), ["colour", "shape"]),
            ("numbers", StandardScaler(), ["size", "count"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression()).fit(WORDS, LABELS)
    made = predictor(model, "predict_proba")
    answer = made.predict(from_frame(WORDS), {})
    assert isinstance(answer, Tensors)
    assert np.array_equal(answer.arrays[0], model.predict_proba(WORDS))
    unseen = WORDS.assign(colour="violet")
    assert np.array_equal(made.predict(from_frame(unseen), {}).arrays[0], model.predict_proba(unseen))  # type: ignore[union-attr]


def test_an_estimator_with_categories_by_dtype_gets_a_frame() -> None:
    frame = WORDS.astype({"colour": "category", "shape": "category"})
    model = HistGradientBoostingRegressor(max_iter=5, categorical_features="from_dtype").fit(frame, NUMBERS["a"])
    made = predictor(model)
    answer = made.predict(from_frame(frame), {})  # a caller's JSON has no categories: text
    assert isinstance(answer, Tensors)
    assert np.array_equal(answer.arrays[0], model.predict(frame))


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: GridSearchCV(e, {"max_iter": [3]}, cv=2)])
def test_categories_that_are_numbers_keep_the_frame(wrap: Any) -> None:
    frame = NUMBERS.assign(b=(NUMBERS["b"] > 0).astype(int).astype("category"))
    model = wrap(HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype")).fit(frame, LABELS)
    made = predictor(model)
    block = Table(tuple(frame.columns), block=frame.astype(float).to_numpy())
    assert given(made, block) is pd.DataFrame


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "bool"])
def test_blocks_of_every_number_type_answer_as_the_estimator(dtype: str) -> None:
    frame = (NUMBERS * 5).round().astype(dtype)
    model = LogisticRegression().fit(frame, LABELS)
    made = predictor(model, "predict_proba")
    assert alike(made.predict(from_frame(frame), {}).arrays[0], model.predict_proba(frame))  # type: ignore[union-attr]


def test_columns_in_another_order_are_noticed() -> None:
    made = predictor(LogisticRegression().fit(NUMBERS, LABELS))
    turned = from_frame(NUMBERS[["a", "b", "c", "d"]])
    with pytest.raises(PredictError, match="feature names"):
        made.predict(turned, {})


def test_arrays_and_unnamed_tables_answer_as_the_estimator() -> None:
    on_array = predictor(LogisticRegression().fit(NUMBERS.to_numpy(), LABELS))
    on_frame = predictor(LogisticRegression().fit(NUMBERS, LABELS))
    expected = on_array.estimator.predict(NUMBERS.to_numpy()).tolist()
    for made in (on_array, on_frame):
        assert answer_value(made.predict(Tensors.single(NUMBERS.to_numpy()), {})) == expected
        assert answer_value(made.predict(Table(None, block=NUMBERS.to_numpy()), {})) == expected
        assert answer_value(made.predict(Value(NUMBERS.to_numpy().tolist()), {})) == expected


def test_serving_gives_no_warnings_on_any_thread() -> None:
    """A block for an estimator that was fitted on a frame: we checked the names, scikit-learn need not."""
    made = predictor(make_pipeline(StandardScaler(), RandomForestClassifier(3)).fit(NUMBERS, LABELS))
    failed: list[BaseException] = []

    def run() -> None:
        try:
            made.predict(from_frame(NUMBERS), {})
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def jobs(estimator: Any) -> list[Any]:
    return [part.n_jobs for part in estimator if hasattr(part, "n_jobs")]


def test_pools_for_each_batch_are_off_however_deep() -> None:
    forest = RandomForestClassifier(2, n_jobs=-1, random_state=0)
    pipeline = predictor(make_pipeline(StandardScaler(), forest).fit(NUMBERS, LABELS)).estimator
    assert pipeline[-1].n_jobs == 1
    search = predictor(GridSearchCV(forest, {}, cv=2).fit(NUMBERS, LABELS)).estimator
    assert search.best_estimator_.n_jobs == 1
    model = VotingClassifier([("f", forest)]).fit(NUMBERS, LABELS)
    voting = predictor(model.set_params(n_jobs=2)).estimator
    assert (voting.n_jobs, voting.estimators_[0].n_jobs) == (1, 1)
    calibrated = predictor(CalibratedClassifierCV(forest, cv=2).fit(NUMBERS, LABELS)).estimator
    assert jobs(c.estimator for c in calibrated.calibrated_classifiers_) == [1, 1]
    plain = LogisticRegression().fit(NUMBERS, LABELS)
    assert predictor(plain).estimator.get_params() == plain.get_params()


def test_few_rows_are_predicted_by_one_thread() -> None:
    threads: list[int] = []

    def noted(rows: Any) -> Any:
        threads.append(_openmp_effective_n_threads(None))
        return rows

    model = make_pipeline(FunctionTransformer(noted), HistGradientBoostingClassifier(max_iter=2, random_state=0))
    boosted = predictor(model.fit(NUMBERS, LABELS))
    threads.clear()
    with threadpool_limits(2, "openmp"):
        for rows in (1, 256, 257):
            boosted.predict(from_frame(pd.concat([NUMBERS] * 5)[:rows]), {})
        threads.append(_openmp_effective_n_threads(None))
    assert threads == [1, 1, 2, 2]
    assert predictor(KMeans(2, n_init=1).fit(NUMBERS)).estimator._n_threads == 1  # as many as where it was fitted


@pytest.mark.parametrize(
    ("estimator", "function", "kind"),
    [
        (KMeans(3, random_state=0, n_init=1), "predict", Tensors),
        (IsolationForest(n_estimators=3, random_state=0), "predict", Tensors),
        (LogisticRegression(), "predict_log_proba", Tensors),
        (GaussianNB(), "predict_joint_log_proba", Tensors),
        (TransformedTargetRegressor(LinearRegression()), "predict", Tensors),
    ],
)
def test_every_predict_function_answers_as_the_estimator_does(estimator: Any, function: str, kind: type) -> None:
    target = NUMBERS["a"] if isinstance(estimator, TransformedTargetRegressor) else LABELS
    model = estimator.fit(NUMBERS, target)
    answer = predictor(model, function).predict(from_frame(NUMBERS), {})
    assert isinstance(answer, kind)
    assert alike(answer.arrays[0], getattr(model, function)(NUMBERS))  # type: ignore[union-attr]


def test_an_estimator_with_several_outputs_answers_them_all() -> None:
    model = MultiOutputClassifier(GaussianNB()).fit(NUMBERS, np.stack([LABELS, LABELS[::-1]], axis=1))
    labels = predictor(model).predict(from_frame(NUMBERS), {})
    assert np.shape(answer_value(labels)) == (60, 2)
    chances = predictor(model, "predict_proba").predict(from_frame(NUMBERS), {})
    assert np.shape(answer_value(chances)) == (2, 60, 2)


def test_params_change_nothing_as_in_mlflow() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor

    made = predictor(GaussianProcessRegressor(optimizer=None).fit(NUMBERS[:9], NUMBERS["a"][:9]))
    rows = from_frame(NUMBERS[:2])
    assert answer_value(made.predict(rows, {"return_std": True})) == answer_value(made.predict(rows, {}))


@pytest.mark.parametrize("estimator", NUMERIC, ids=lambda e: type(e).__name__)
def test_common_estimators_are_data_only_and_answer_the_same(tmp_path: Path, estimator: Any) -> None:
    model = fitted(estimator, NUMBERS, LABELS)
    made = SklearnFlavor().write(model, tmp_path, SklearnOptions("skops"))
    manifest = Manifest({"flavors": dict(made.flavors)})
    assert SklearnFlavor().code_reasons(tmp_path, manifest) == []
    answer = SklearnFlavor().load(LoadContext(tmp_path, manifest)).predict(from_frame(NUMBERS), {})
    assert answer_value(answer) == model.predict(NUMBERS).tolist()
