"""Estimators that take a sequence of texts: handed their one column by what is in the package, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline

from package.packaging import nothing_left, proven
from penstock.errors import PackagingFailed
from penstock.flavors.frames import from_frame
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.flavors.sklearn.writing.one_column import taking_one_column
from penstock.package.save import save_model

TEXTS = ["good film", "bad film", "very good", "very bad", "good fun"]
LABELS = np.array(["pos", "neg", "pos", "neg", "pos"])
FRAME = pd.DataFrame({"text": TEXTS})


def fitted(*steps: Any, rows: Any = TEXTS) -> Any:
    return make_pipeline(*steps, LogisticRegression()).fit(rows, LABELS)


class Lengths(BaseEstimator):  # type: ignore[misc]
    """The length of each text. No attribute ends in _, so a Pipeline takes it for unfitted."""

    def fit(self, rows: Any, labels: Any = None) -> Lengths:
        return self

    def predict(self, rows: Any) -> Any:
        return np.array([len(row) for row in rows])


@pytest.mark.parametrize(
    "estimator",
    [
        fitted(TfidfVectorizer()),
        fitted(HashingVectorizer(n_features=64)),
        fitted(FeatureUnion([("words", CountVectorizer()), ("characters", TfidfVectorizer(analyzer="char"))])),
        GridSearchCV(
            make_pipeline(CountVectorizer(), LogisticRegression()), {"countvectorizer__min_df": [1]}, cv=2
        ).fit(TEXTS, LABELS),
    ],
    ids=["tfidf", "hashing", "union", "search"],
)
@pytest.mark.parametrize("rows", [1, 5])
def test_a_text_model_is_handed_its_one_column(tmp_path: Path, estimator: Any, rows: int) -> None:
    package = save_model(estimator, tmp_path / "m", example=FRAME.head(rows))
    assert package.code_reasons() == []
    assert proven(package) == LABELS[:rows].tolist()
    predictor = package.load()
    assert isinstance(predictor, SklearnPredictor)
    every = pd.concat([FRAME] * 3)
    assert predictor.estimator.predict(every).tolist() == LABELS.tolist() * 3
    assert predictor.estimator.predict(TEXTS).tolist() == LABELS.tolist()  # as before, for who has the estimator itself


def test_a_pipeline_keeps_its_steps_and_has_one_before_them() -> None:
    behind = taking_one_column(fitted(CountVectorizer()), "predict", from_frame(FRAME))
    assert [name for name, _ in behind.steps] == ["column", "countvectorizer", "logisticregression"]
    again = taking_one_column(behind, "predict", from_frame(FRAME))
    assert again is behind


@pytest.mark.parametrize(
    ("example", "steps"),
    [
        (FRAME["text"], CountVectorizer()),
        (TEXTS, CountVectorizer()),
        (np.array(TEXTS, dtype=object).reshape(-1, 1), CountVectorizer()),
        (pd.DataFrame({"facts": [{"a": float(len(t))} for t in TEXTS]}), DictVectorizer()),
    ],
    ids=["series", "list", "one column of an array", "objects"],
)
def test_a_column_may_come_in_any_form(tmp_path: Path, example: Any, steps: Any) -> None:
    rows = [{"a": float(len(t))} for t in TEXTS] if isinstance(steps, DictVectorizer) else TEXTS
    estimator = fitted(steps, rows=rows)
    answer = proven(save_model(estimator, tmp_path / "m", example=example))
    assert answer == estimator.predict(rows).tolist()


def test_several_outputs_are_an_answer_for_each_row(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [1, 0], [0, 1], [1, 0], [0, 1]])
    estimator = make_pipeline(CountVectorizer(), MultiOutputClassifier(LogisticRegression())).fit(TEXTS, labels)
    answer = proven(save_model(estimator, tmp_path / "m", example=FRAME, predict_fn="predict_proba"))
    assert np.shape(answer) == (2, 5, 2)


def test_what_takes_a_table_or_an_array_stays_as_it_is() -> None:
    by_column = make_pipeline(make_column_transformer((CountVectorizer(), "text")), LogisticRegression())
    by_column.fit(FRAME, LABELS)
    assert taking_one_column(by_column, "predict", from_frame(FRAME)) is by_column
    assert taking_one_column(fitted(CountVectorizer()), "transform", from_frame(FRAME)).steps[0][0] != "column"
    numbers = LogisticRegression().fit(np.arange(5.0).reshape(-1, 1), LABELS)
    assert taking_one_column(numbers, "predict", from_frame(pd.DataFrame({"x": [1.0]}))) is numbers
    assert taking_one_column(numbers, "predict", None) is numbers


def test_of_several_columns_the_refusal_names_the_one_that_is_meant(tmp_path: Path) -> None:
    frame = FRAME.assign(id=range(5))[["id", "text"]]
    with pytest.raises(PackagingFailed) as caught:
        save_model(fitted(CountVectorizer()), tmp_path / "m", example=frame)
    assert "such as the values of 'text', and the example has 2 columns" in caught.value.message
    assert "example=frame[['text']]" in caught.value.hint
    assert nothing_left(tmp_path)


def test_a_class_that_pipelines_take_for_unfitted_wants_an_array(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed) as caught:
        save_model(Lengths(), tmp_path / "m", example=FRAME)
    assert "example=frame['text'].to_numpy()" in caught.value.hint
    assert proven(save_model(Lengths(), tmp_path / "m", example=FRAME["text"].to_numpy())) == [9, 8, 9, 8, 8]
