"""Lean predict: the same bits as the estimator, for the rows that it takes; and who is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from penstock.errors import PredictError
from penstock.flavors.sklearn.lean.known_values import known_values
from penstock.flavors.sklearn.lean.lean_predictor import LeanPredictor, lean_predictor
from penstock.flavors.sklearn.lean.proof import prove_lean
from penstock.flavors.sklearn.lean.reviewed import REVIEWED_VERSIONS
from penstock.flavors.sklearn.lean.step import NotLean, require_finite
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.payload import Table, Tensors

X, Y = load_iris(return_X_y=True)
NAMES = tuple("abcd")
FRAME = pd.DataFrame(X, columns=list(NAMES))
TEXT = np.array(["setosa", "versicolor", "virginica"])[Y]
VALUES = X @ [0.5, -1.0, 2.0, 3.0]
GAPS = X.copy()
GAPS[::7, 1] = np.nan

if ".".join(sklearn.__version__.split(".")[:2]) not in REVIEWED_VERSIONS:
    pytest.skip("this scikit-learn is not reviewed", allow_module_level=True)


@pytest.fixture(autouse=True)
def as_quiet_as_a_server() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def by_columns(last: Any) -> Any:
    inner = make_pipeline(SimpleImputer(), MinMaxScaler(clip=True))
    return make_pipeline(
        make_column_transformer((StandardScaler(), ["a", "c"]), (inner, ["b"]), remainder="passthrough"), last
    )


def lean_models() -> list[Any]:
    two, few = Y == 1, {"n_estimators": 7, "random_state": 0}
    return [
        LogisticRegression(max_iter=300).fit(X, Y),
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, TEXT),
        make_pipeline(StandardScaler(with_mean=False), LogisticRegression()).fit(X, two),
        make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression()).fit(GAPS, Y),
        make_pipeline(RobustScaler(), RidgeClassifier()).fit(X, Y),
        make_pipeline(MaxAbsScaler(), SGDClassifier(random_state=0)).fit(X, two),
        LinearSVC(random_state=0).fit(X, Y),
        LinearRegression().fit(X, VALUES),
        Ridge().fit(X, np.c_[VALUES, X[:, 0]]),
        DecisionTreeClassifier(random_state=0).fit(X, TEXT),
        DecisionTreeRegressor(random_state=0).fit(X, VALUES),
        make_pipeline(StandardScaler(), RandomForestClassifier(**few)).fit(X, TEXT),
        ExtraTreesClassifier(**few).fit(X, two),
        RandomForestRegressor(**few).fit(X, VALUES),
        GradientBoostingClassifier(**few).fit(X, TEXT),
        GradientBoostingClassifier(**few, init="zero").fit(X, two),
        GradientBoostingRegressor(**few).fit(X, VALUES),
        HistGradientBoostingClassifier(max_iter=5).fit(GAPS, TEXT),
        HistGradientBoostingClassifier(max_iter=5).fit(X, two),
        HistGradientBoostingRegressor(max_iter=5).fit(X, VALUES),
        by_columns(LogisticRegression(max_iter=300)).fit(FRAME, Y),
        by_columns(RandomForestClassifier(**few)).fit(FRAME, TEXT),
    ]


MODELS = lean_models()


def predictor(model: Any, function: str = "predict", **options: Any) -> SklearnPredictor:
    return SklearnPredictor(model, function, version=sklearn.__version__, **options)


def table(rows: Any) -> Table:
    return Table(NAMES, block=np.asarray(rows, np.float64))


def described(model: Any) -> str:
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return "-".join(type(step).__name__ for step in steps)


def methods(model: Any) -> list[str]:
    has_probabilities = hasattr(model, "predict_proba") and not described(model).endswith("SGDClassifier")
    return ["predict", "predict_proba"] if has_probabilities else ["predict"]


@pytest.mark.parametrize("model", MODELS, ids=described)
def test_answers_are_those_of_the_estimator_to_the_bit(model: Any) -> None:
    random = np.random.default_rng(5)
    names_columns = hasattr(model, "feature_names_in_")
    for function in methods(model):
        lean = predictor(model, function)
        assert lean.not_lean == ""
        for count in (1, 5, 300):
            rows = X[random.integers(len(X), size=count)] + random.normal(size=(count, 4))
            for block in (rows, np.asfortranarray(rows)):
                wanted = getattr(model, function)(pd.DataFrame(block, columns=list(NAMES)) if names_columns else block)
                found: Any = lean.predict(Table(NAMES, block=block), {})
                assert np.asarray(found.arrays[0]).tolist() == wanted.tolist()


@pytest.mark.parametrize("model", [MODELS[3], MODELS[9], MODELS[17]], ids=described)
@settings(max_examples=20)
@given(rows=arrays.arrays(np.float64, (3, 4), elements=st.floats(width=64)))
def test_any_row_gets_what_the_estimator_says_of_it(model: Any, rows: Any) -> None:
    own, lean = predictor(model), predictor_of(model)
    own._lean = None
    assert outcome(lean, rows) == outcome(own, rows)


_KEPT: dict[int, SklearnPredictor] = {}


def predictor_of(model: Any) -> SklearnPredictor:
    return _KEPT.setdefault(id(model), predictor(model))


def outcome(made: SklearnPredictor, rows: Any) -> Any:
    try:
        found: Any = made.predict(table(rows), {})
    except PredictError as error:
        return type(error.__cause__)
    return found.arrays[0].tolist()


class Counted:
    """The estimator itself, with the numbers of rows that it was asked for."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.asked: list[int] = []
        self._answer = answer

    def __call__(self, rows: Any) -> Any:
        self.asked.append(len(rows))
        return self._answer(rows)


def test_rows_that_are_not_finite_alone_go_to_the_estimator() -> None:
    model = HistGradientBoostingRegressor(max_iter=5).fit(X, VALUES)
    lean, own = lean_predictor(model, "predict", sklearn.__version__), Counted(model.predict)
    rows = X[:6].copy()
    rows[2, 1], rows[4, 0] = np.inf, -np.inf
    assert lean.predict(rows, own).tolist() == model.predict(rows).tolist()
    assert own.asked == [2]


def test_rows_that_are_too_large_for_trees_alone_go_to_the_estimator() -> None:
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, TEXT)
    lean, own = lean_predictor(model, "predict", sklearn.__version__), Counted(lambda rows: np.array(["?"] * len(rows)))
    rows = X[:4].copy()
    rows[0, 0], rows[3, 3] = np.nan, 1e300
    assert lean.predict(rows, own).tolist() == ["?", *model.predict(rows[1:3]), "?"]
    rows[:] = np.inf
    assert lean.predict(rows, own).tolist() == ["?"] * 4
    assert own.asked == [2, 4]


@pytest.mark.parametrize(
    "block",
    [X[:2, :3], X[:0], X[:2].astype(np.float32), X[:2].astype(np.int64), X[0], np.c_[X, X][:2], X[:2].tolist(), None],
    ids=["narrow", "empty", "float32", "int64", "one row", "wide", "list", "nothing"],
)
def test_other_blocks_are_not_taken(block: Any) -> None:
    """A compiled tree reads outside a row that is too short."""
    assert not lean_predictor(MODELS[9], "predict", sklearn.__version__).takes(block)


def test_columns_in_another_order_are_for_the_estimator() -> None:
    model = by_columns(LogisticRegression(max_iter=300)).fit(FRAME, Y)
    made = predictor(model)
    turned = Table(("d", "c", "b", "a"), block=X[:, ::-1].copy())
    assert made.predict(turned, {}).arrays[0].tolist() == model.predict(FRAME).tolist()  # type: ignore[union-attr]


def test_arrays_without_names_are_taken_but_where_columns_have_names() -> None:
    plain: Any = predictor(MODELS[0]).predict(Tensors.single(X), {})
    assert plain.arrays[0].tolist() == MODELS[0].predict(X).tolist()
    with pytest.raises(PredictError, match="column"):
        predictor(MODELS[-1]).predict(Tensors.single(X), {})


@pytest.mark.parametrize("function", ["both", "predict_proba"])
def test_answers_by_class(function: str) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, TEXT)
    made, own = predictor(model, function, by_class=True), predictor(model, function, by_class=True)
    own._lean = None
    assert made.not_lean == ""
    assert repr(made._lean).startswith("<LeanModel predict_proba")
    found, wanted = made.predict(table(X), {}), own.predict(table(X), {})
    assert isinstance(found, Table)
    assert isinstance(wanted, Table)
    assert found.names == wanted.names
    assert [found.column(n).tolist() for n in range(found.width)] == [
        wanted.column(n).tolist() for n in range(wanted.width)
    ]


class Mine(LogisticRegression):  # type: ignore[misc]
    """A user's own, whose answers nobody has reviewed."""


@pytest.mark.parametrize(
    ("model", "function", "why"),
    [
        (KNeighborsClassifier().fit(X, Y), "predict", "KNeighborsClassifier is not reviewed"),
        (Mine(max_iter=300).fit(X, Y), "predict", "Mine is not reviewed"),
        (MODELS[0], "predict_log_proba", "predict_log_proba is not reviewed"),
        (SGDClassifier(loss="log_loss").fit(X, Y), "predict_proba", "its probabilities are not reviewed"),
        (RandomForestClassifier(2).fit(X, np.c_[Y, Y]), "predict", "it has several outputs"),
        (RidgeClassifier().fit(X, np.c_[Y == 1, Y == 2]), "predict", "several outputs"),
        (make_pipeline(SimpleImputer(missing_values=0.0), Ridge()).fit(X, Y), "predict", "another value than NaN"),
        (make_pipeline(SimpleImputer(add_indicator=True), Ridge()).fit(GAPS, Y), "predict", "indicators"),
        (
            GradientBoostingClassifier(n_estimators=2, init=LogisticRegression(max_iter=300)).fit(X, Y),
            "predict",
            "user",
        ),
        (make_pipeline(StandardScaler().set_output(transform="pandas"), Ridge()).fit(FRAME, Y), "predict", "an output"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_lean_form_says_why_and_answers_itself(model: Any, function: str, why: str) -> None:
    made = predictor(model, function)
    assert why in str(made.not_lean)
    given = FRAME if hasattr(model, "feature_names_in_") else X
    found: Any = made.predict(table(X), {})
    wanted = np.asarray(getattr(model, function)(given))
    if wanted.dtype.kind == "f":  # a frame's columns lie in another order of memory
        np.testing.assert_allclose(found.arrays[0], wanted)
    else:
        assert np.asarray(found.arrays[0]).tolist() == wanted.tolist()


WIDE = np.c_[X, X]


def wide_step(model: Any) -> Any:
    """As a forged file has it: a step for more columns than the one before it gives."""
    return Pipeline([("scale", StandardScaler().fit(X)), ("model", model)])


def mixed_forest(attribute: str) -> Any:
    forest = RandomForestClassifier(3, random_state=0).fit(X, Y)
    other = (WIDE, Y) if attribute == "columns" else (X, np.arange(len(Y)) % 5)
    forest.estimators_[1] = DecisionTreeClassifier().fit(*other)
    return forest


@pytest.mark.parametrize(
    "model",
    [
        wide_step(DecisionTreeClassifier().fit(WIDE, Y)),
        wide_step(RandomForestClassifier(2).fit(WIDE, Y)),
        wide_step(HistGradientBoostingClassifier(max_iter=2).fit(WIDE, Y)),
        mixed_forest("columns"),
        mixed_forest("classes"),
    ],
)
def test_a_step_for_other_rows_than_it_gets_is_not_taken(model: Any) -> None:
    """Its compiled trees would read outside of the rows."""
    assert predictor(model).not_lean != ""


@pytest.mark.parametrize("width", [0, 10**9, "4", 5])
def test_an_estimator_that_says_another_width_is_not_taken(width: Any) -> None:
    forest = RandomForestClassifier(2).fit(X, Y)
    forest.n_features_in_ = width
    assert predictor(forest).not_lean != ""


def test_a_lean_form_is_not_asked_what_the_estimator_fails_on() -> None:
    asked: list[Any] = []

    def own(rows: Any) -> Any:
        raise ValueError("no such rows")

    def step(rows: Any) -> Any:
        asked.append(rows)
        return rows.sum(axis=1)

    with pytest.raises(NotLean, match="it fails itself"):
        prove_lean(LeanPredictor(step, "predict", 4), own, np.zeros((1, 4)))
    assert asked == []


def test_another_version_is_not_taken() -> None:
    assert SklearnPredictor(MODELS[0], "predict", version="0.24.2").not_lean == "scikit-learn 0.24 is not reviewed"


@pytest.mark.parametrize(
    ("step", "difference"),
    [
        (lambda rows: rows @ [1.0, 2.0, 3.0, 4.0] + 1e-12, "a value"),
        (lambda rows: (rows @ [1.0, 2.0, 3.0, 4.0]).astype(np.float32), "their form"),
        (lambda rows: 1 / 0, "what they are"),
    ],
)
def test_an_answer_that_differs_by_a_bit_is_no_proof(step: Any, difference: str) -> None:
    def own(rows: Any) -> Any:
        require_finite(rows)
        return rows @ [1.0, 2.0, 3.0, 4.0]

    with pytest.raises(NotLean, match=f"its answers to 1 rows differ in {difference}"):
        prove_lean(LeanPredictor(step, "predict", 4), own, np.zeros((1, 4)))


def test_a_step_that_changes_what_it_is_given_is_no_proof() -> None:
    def step(rows: Any) -> Any:
        rows += 1.0
        return rows.sum(axis=1)

    with pytest.raises(NotLean):
        prove_lean(LeanPredictor(step, "predict", 4), lambda rows: (rows + 1.0).sum(axis=1), np.zeros((1, 4)))


def test_the_example_is_proven_before_it_is_answered() -> None:
    made = predictor(LogisticRegression(max_iter=300).fit(X, Y))
    made.rehearse(table(X))
    assert made.not_lean == ""
    made.estimator.coef_ = made.estimator.coef_ * 0.5  # what the lean form was made of is there no more
    made.rehearse(table(X))
    assert str(made.not_lean).startswith("its answers to 150 rows differ")
    found: Any = made.predict(table(X), {})
    assert found.arrays[0].tolist() == made.estimator.predict(X).tolist()


def test_rows_are_made_about_what_the_estimator_knows() -> None:
    forest = RandomForestClassifier(3, random_state=0).fit(X, Y)
    thresholds = {t for tree in forest.estimators_ for t in tree.tree_.threshold[tree.tree_.feature == 2].tolist()}
    assert thresholds & set(known_values(forest, 4)[:, 2].tolist())
    scaled = known_values(make_pipeline(StandardScaler(), Ridge()).fit(X, Y), 4)
    assert np.isclose(scaled, X.mean(axis=0)).any(axis=0).all()
    assert known_values(SimpleNamespace(), 2).shape == (3, 2)
    assert np.isfinite(known_values(by_columns(Ridge()).fit(FRAME, Y), 4)).all()
