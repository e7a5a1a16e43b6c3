"""Text models that MLflow saved: a table's texts never reach them, which is said at load and in every such answer, and
a converted package takes tables."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import penstock
from penstock import testing
from penstock.errors import PackagingFailed, PredictError
from penstock.package import PackagedModel
from penstock.package.convert import convert_to_data_only

TEXTS = ["free money", "lunch at noon"]
TABLE = {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}}
COLUMN = '[{"type": "string", "name": "text", "required": true}]'


def saved_by_mlflow(place: Path, estimator: Any, *, inputs: str | None = None, example: Any = None) -> Path:
    """The directory that `mlflow.sklearn.save_model` writes, as far as it is read."""
    place.mkdir()
    (place / "model.pkl").write_bytes(pickle.dumps(estimator))
    content: dict[str, Any] = {
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl", "predict_fn": "predict"},
            "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"},
        }
    }
    if inputs is not None:
        content["signature"] = {"inputs": inputs, "outputs": None, "params": None}
    if example is not None:
        (place / "serving_input_example.json").write_text(f'{{"inputs": {example!r}}}'.replace("'", '"'))
    (place / "MLmodel").write_text(yaml.safe_dump(content))
    return place


@pytest.fixture(scope="module")
def spam() -> Any:
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS * 5, [1, 0] * 5)


@pytest.fixture(params=["with an example", "without", "with a signature"])
def package(request: pytest.FixtureRequest, spam: Any, tmp_path: Path) -> Path:
    inputs = COLUMN if request.param == "with a signature" else None
    example = TEXTS if request.param == "with an example" else None
    return saved_by_mlflow(tmp_path / "spam", spam, inputs=inputs, example=example)


def test_a_table_is_answered_as_mlflow_does_and_not_without_a_word(package: Path) -> None:
    with testing.client(package, trust_code=True, isolation="none") as client:
        for body in (TABLE, {"dataframe_records": [{"text": "free money"}]}, {"inputs": {"text": [*TEXTS, "noon"]}}):
            answer = client.post("/invocations", json=body)
            assert answer.json() == {"predictions": [0]}
            assert "takes a list of texts" in answer.headers["x-request-warning"]
    with penstock.load_model(package, trust_code=True) as model:
        (warning,) = model.loaded.proof.warnings
        assert "penstock package convert" in warning


def test_a_list_is_answered_without_a_warning(spam: Any, tmp_path: Path) -> None:
    with testing.client(
        saved_by_mlflow(tmp_path / "m", spam, example=TEXTS), trust_code=True, isolation="none"
    ) as client:
        answer = client.post("/invocations", json={"inputs": TEXTS})
        assert answer.json() == {"predictions": [1, 0]}
        assert "x-request-warning" not in answer.headers


def test_a_converted_package_takes_tables_and_lists(package: Path, tmp_path: Path) -> None:
    convert_to_data_only(PackagedModel.open(package), tmp_path / "safe")
    with testing.client(tmp_path / "safe", isolation="none") as client:
        for body in (TABLE, {"inputs": TEXTS}):
            answer = client.post("/invocations", json=body)
            assert answer.json() == {"predictions": [1, 0]}
            assert "x-request-warning" not in answer.headers
    with pytest.raises(PackagingFailed, match="already data-only"):
        convert_to_data_only(PackagedModel.open(tmp_path / "safe"), tmp_path / "again")


def age_in_days(rows: pd.DataFrame) -> pd.DataFrame:
    return (pd.Timestamp("2024-06-01") - rows.iloc[:, 0]).dt.days.to_frame()


class EverySecond(LinearRegression):  # type: ignore[misc]
    def predict(self, rows: Any) -> Any:
        return super().predict(rows)[::2]


def test_an_estimator_that_answers_another_number_of_rows_is_told_of(tmp_path: Path) -> None:
    package = saved_by_mlflow(tmp_path / "m", EverySecond().fit(np.eye(2), [1.0, 2.0]))
    with testing.client(package, trust_code=True, isolation="none") as client:
        answer = client.post("/invocations", json={"inputs": [[1.0, 0.0], [0.0, 1.0]]})
        said = answer.headers["x-request-warning"]
        assert said.startswith("1 answers to 2 rows")
        answer = client.post("/invocations", json={"inputs": [[1.0, 0.0], [0.0, 1.0]], "params": {"zzz": 1}})
        assert answer.headers["x-request-warning"] == f"ignored: param 'zzz'; {said}"


def test_a_list_where_a_text_is_meant_is_told_instead_of_the_models_exception_alone(spam: Any, tmp_path: Path) -> None:
    saved = saved_by_mlflow(tmp_path / "m", spam, inputs=COLUMN)
    convert_to_data_only(PackagedModel.open(saved), tmp_path / "safe")
    with testing.client(tmp_path / "safe", isolation="none") as client:
        refused = client.post("/invocations", json={"inputs": [["free money"], ["lunch"]]})
        assert refused.status == 400
        assert "send one text a row" in refused.json()["message"]
    with penstock.load_model(tmp_path / "safe") as model, pytest.raises(PredictError) as failed:
        model.predict([["free money"], ["lunch"]])
    assert "send one text a row" in failed.value.hint


def test_dates_as_text_are_named_where_a_package_without_a_signature_fails(tmp_path: Path) -> None:
    steps = make_pipeline(FunctionTransformer(age_in_days), LinearRegression())
    frame = pd.DataFrame({"since": pd.to_datetime(["2021-01-02", "2022-03-04"])})
    package = saved_by_mlflow(tmp_path / "m", steps.fit(frame, [1.0, 2.0]))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with testing.client(package, trust_code=True, isolation="none") as client:
        refused = client.post("/invocations", json={"dataframe_records": [{"since": "2021-01-02"}]})
        assert "no signature, so that the dates in 'since' reach the model as text" in refused.json()["message"]
    with pytest.raises(penstock.PenstockError, match="dates in 'since' reach the model as text"):
        penstock.score_files(package, tmp_path / "rows.csv", tmp_path / "out.csv", trust_code=True)


def test_booleans_with_gaps_of_a_file_reach_a_model_without_a_signature_as_pandas_reads_them(tmp_path: Path) -> None:
    flags = pd.DataFrame({"flag": pd.Series([True, False, np.nan, True], dtype=object)})
    flags.to_csv(tmp_path / "rows.csv", index=False)
    encoder = OneHotEncoder(handle_unknown="ignore")
    package = saved_by_mlflow(
        tmp_path / "m", make_pipeline(encoder, LinearRegression()).fit(flags, [1.0, 2.0, 9.0, 1.0])
    )
    penstock.score_files(package, tmp_path / "rows.csv", tmp_path / "out.csv", trust_code=True)
    assert pd.read_csv(tmp_path / "out.csv")["prediction"].round(6).tolist() == [1.0, 2.0, 9.0, 1.0]
