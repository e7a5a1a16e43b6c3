"""A package answers the example as the model at hand does: gaps of all formats, and what callers cannot send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier

import penstock
from penstock.errors import PackagingFailed
from penstock.flavors.frames import from_frame
from penstock.flavors.predictor import Predictor
from penstock.package.original import Original
from penstock.payload import Params, Payload, Value
from penstock.signature import Signature
from support.commands import Here

PLANS = pd.DataFrame({"plan": ["a", "b", None, "a", None, "b"], "fee": [1.0, -1.0, 2.0, -2.0, 0.5, 0.1]})
FLAGS = pd.DataFrame({"auto": pd.Series([True, False, np.nan, True, np.nan, False], dtype=object), "fee": PLANS["fee"]})
LABELS = ["stay", "churn", "churn", "stay", "churn", "stay"]


def fitted(frame: pd.DataFrame, encoder: Any) -> Pipeline:
    columns = ColumnTransformer([("encoded", encoder, [frame.columns[0]]), ("fee", "passthrough", ["fee"])])
    last = DecisionTreeClassifier() if isinstance(encoder, OrdinalEncoder) else LogisticRegression(C=100.0)
    return make_pipeline(columns, last).fit(frame, LABELS)


def write(frame: pd.DataFrame, place: Path) -> None:
    frame.to_csv(place / "rows.csv", index=False)
    frame.to_parquet(place / "rows.parquet", index=False)
    split = json.loads(frame.to_json(orient="split", index=False))
    (place / "rows.json").write_text(json.dumps({"dataframe_split": split}))


@pytest.mark.parametrize(
    ("frame", "kind"),
    [(PLANS, "parquet"), (PLANS, "json"), (FLAGS, "csv"), (FLAGS, "json")],
    ids=lambda given: given if isinstance(given, str) else given.columns[0],
)
def test_an_example_file_brings_the_gaps_that_the_model_was_fitted_on(
    here: Here, tmp_path: Path, frame: pd.DataFrame, kind: str
) -> None:
    """OrdinalEncoder refuses None where it was fitted on NaN, and OneHotEncoder takes it for a category of its own."""
    model = fitted(frame, OrdinalEncoder() if frame is PLANS else OneHotEncoder())
    joblib.dump(model, tmp_path / "model.joblib")
    write(frame, tmp_path)

    made = here("package", "sklearn", "model.joblib", "--example", f"rows.{kind}", "-o", "m")

    assert made.returncode == 0, made.stderr
    with penstock.load_model(tmp_path / "m") as loaded:
        name = frame.columns[0]
        field = next(f for f in loaded.signature.inputs if f.name == name)  # type: ignore[union-attr]
        assert (str(field.type), field.required) == ("string" if frame is PLANS else "boolean", False)  # type: ignore[union-attr]
        assert loaded.predict(frame).tolist() == model.predict(frame).tolist()
        records = json.loads(frame.to_json(orient="records"))
        assert loaded.predict(records) == model.predict(frame).tolist()


def test_a_model_that_was_fitted_on_none_is_refused(tmp_path: Path) -> None:
    frame = FLAGS.assign(auto=FLAGS["auto"].where(FLAGS["auto"].notna(), None))
    model = fitted(frame, OneHotEncoder(handle_unknown="ignore"))
    with pytest.raises(PackagingFailed, match="row 2 of the example") as failed:
        penstock.save_model(model, tmp_path / "m", example=frame, predict_fn="predict_proba")
    assert "In column 'auto' a missing cell is None in the example, and NaN in a request" in str(failed.value)
    assert "1 more of 6 rows" in str(failed.value)


def test_a_file_whose_format_has_no_nan_is_taken_with_a_warning(
    here: Here, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    joblib.dump(fitted(FLAGS, OneHotEncoder(handle_unknown="ignore")), tmp_path / "model.joblib")
    write(FLAGS, tmp_path)
    given = ["package", "sklearn", "model.joblib", "--predict-fn", "both", "-o", "m", "--force", "--example"]
    assert here(*given, "rows.csv").returncode == 0
    assert caplog.messages == []
    assert here(*given, "rows.parquet").returncode == 0
    (warning,) = caplog.messages
    assert warning.startswith("The model tells None and NaN apart.")


def test_a_model_that_fails_on_nan_is_told_that_it_was_fitted_on_none(tmp_path: Path) -> None:
    frame = PLANS.astype({"plan": object})
    frame["plan"] = frame["plan"].where(frame["plan"].notna(), None)
    with pytest.raises(PackagingFailed, match=r"cannot answer the example.*unknown categories") as failed:
        penstock.save_model(fitted(frame, OrdinalEncoder()), tmp_path / "m", example=frame)
    assert "Column 'plan' is object in the example, and str in a request" in str(failed.value)
    assert "The model at hand answers it as it is given." in str(failed.value)


class Dtypes:
    """Answers with the dtype of its first column, as a model may that looks at categories."""

    def fit(self, rows: Any) -> Dtypes:
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def predict(self, rows: Any) -> Any:
        return np.array([str(rows.iloc[:, 0].dtype)] * len(rows))


def test_a_dtype_that_callers_cannot_send_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match="Column 'plan' is category in the example, and str in a request"):
        penstock.save_model(Dtypes(), tmp_path / "m", example=PLANS.astype({"plan": "category"}))
    assert penstock.save_model(Dtypes(), tmp_path / "m", example=PLANS).path.exists()


def test_a_file_that_pandas_does_not_read_is_compared_with_nothing(here: Here, tmp_path: Path) -> None:
    """Columns are chosen by the text of their names, which may be numbers."""
    joblib.dump(LogisticRegression().fit([[1.0], [2.0]], [0, 1]), tmp_path / "model.joblib")
    (tmp_path / "rows.json").write_text('{"dataframe_split": {"columns": [0, 1], "data": [[1.0, 7.5], [2.0, 7.5]]}}')
    made = here("package", "sklearn", "model.joblib", "--example", "rows.json", "--column", "0", "-o", "m")
    assert made.returncode == 0, made.stderr


class Alike(Predictor):
    """Answers 1.0 for every row."""

    def _predict(self, payload: Payload, params: Params) -> Payload:
        return Value([1.0] * (payload.rows or 0))


@pytest.mark.parametrize(
    ("answers", "asked"), [([1.0], 1), ([2.0, 3.0], 2)], ids=["as the package", "otherwise each time"]
)
def test_the_model_at_hand_is_asked_again_only_where_the_package_differs(answers: list[float], asked: int) -> None:
    rows, given = PLANS[["fee"]], iter(answers)
    original = Original(lambda: rows, lambda some: [next(given)] * len(some))
    original.check(Alike(), from_frame(rows), Signature(), None)
    assert len(answers) - len(list(given)) == asked


def test_a_model_that_answers_otherwise_than_its_package_is_refused() -> None:
    rows = PLANS[["fee"]]
    with pytest.raises(PackagingFailed, match=r"answers row 0 of the example with 1\.0, the model at hand with 2\.0"):
        Original(lambda: rows, lambda some: [2.0] * len(some)).check(Alike(), from_frame(rows), Signature(), None)
