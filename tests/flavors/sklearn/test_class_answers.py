"""Probabilities under the names of their classes, and labels beside them: one table everywhere, MLflow included."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import penstock
from package.packaging import proven
from penstock import testing
from penstock.errors import PackagingFailed
from penstock.flavors.sklearn.answers.class_answers import class_names, label_name
from penstock.loading import load_path
from penstock.package import PackagedModel
from penstock.package.convert import convert_to_data_only
from penstock.package.save import save_model

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0, 0.5], "b": [1.0, 0.0, 3.0, 1.0, 0.0]})
CHURN = np.array(["stay", "churn", "stay", "churn", "maybe"])


@pytest.fixture(scope="module")
def classifier() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, CHURN)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, classifier: Any) -> PackagedModel:
    return save_model(classifier, tmp_path_factory.mktemp("both") / "churn", example=FRAME, predict_fn="both")


def through_mlflow(package: PackagedModel, function: str) -> Any:
    """What MLflow calls: the loader that the package carries, in a module of its own."""
    loader = SourceFileLoader("loader_of_package", str(package.path / "code" / "penstock_sklearn.py"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return getattr(module._load_pyfunc(str(package.path)), function)


@pytest.mark.parametrize("function", ["predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("serialization", ["skops", "cloudpickle"])
def test_each_class_has_a_column_of_its_name(
    tmp_path: Path, classifier: Any, function: str, serialization: str
) -> None:
    package = save_model(classifier, tmp_path / "m", example=FRAME, predict_fn=function, serialization=serialization)
    values = getattr(classifier, function)(FRAME)
    names = ["churn", "maybe", "stay"]
    assert proven(package) == [dict(zip(names, row, strict=True)) for row in values.tolist()]
    signature = package.manifest.signature
    assert signature is not None
    assert [str(field) for field in signature.outputs or ()] == ["churn: double", "maybe: double", "stay: double"]
    told = through_mlflow(package, function)(FRAME)
    pd.testing.assert_frame_equal(told, pd.DataFrame(values, columns=names))


def test_both_has_the_label_first_and_stays_data_only(both: PackagedModel, classifier: Any) -> None:
    assert both.code_reasons() == []
    assert "PyYAML==" in (both.path / "requirements.txt").read_text()
    answer = proven(both)
    assert [list(row) for row in answer] == [["label", "churn", "maybe", "stay"]] * len(FRAME)
    assert [row["label"] for row in answer] == classifier.predict(FRAME).tolist()
    told = through_mlflow(both, "both")(FRAME)
    assert told.to_dict(orient="records") == answer


def test_rows_of_several_callers_are_still_batched(both: PackagedModel) -> None:
    loaded = load_path(both.path)
    assert loaded.proof.unjoined == ""
    assert loaded.proof.repeats
    loaded.close()


def test_every_form_of_answer_has_the_names(both: PackagedModel, classifier: Any, tmp_path: Path) -> None:
    wanted = pd.DataFrame(classifier.predict_proba(FRAME), columns=["churn", "maybe", "stay"])
    wanted.insert(0, "label", classifier.predict(FRAME))
    rows = {"dataframe_split": FRAME.to_dict(orient="split", index=False)}
    with testing.client(f"churn={both.path}") as gateway:
        assert gateway.post("/invocations", json=rows).json() == {"predictions": wanted.to_dict(orient="records")}
        csv = gateway.post("/invocations", json=rows, headers={"Accept": "text/csv"})
        pd.testing.assert_frame_equal(pd.read_csv(BytesIO(csv.body)), wanted, check_dtype=False)
        arrow = gateway.post("/invocations", json=rows, headers={"Accept": "application/vnd.apache.arrow.stream"})
        table = pa.ipc.open_stream(arrow.body).read_all()
        assert table.column_names == ["label", "churn", "maybe", "stay"]
        assert table.column("label").to_pylist() == wanted["label"].tolist()
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    penstock.score_files(both.path, tmp_path / "rows.csv", tmp_path / "scored.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "scored.csv"), wanted, check_dtype=False)
    with penstock.load_model(both.path) as model:
        pd.testing.assert_frame_equal(model.predict(FRAME), wanted, check_dtype=False)


def test_classes_that_are_numbers_are_columns_too(tmp_path: Path) -> None:
    model = RandomForestClassifier(3, random_state=0).fit(FRAME, [0, 1, 0, 1, 2])
    package = save_model(model, tmp_path / "m", example=FRAME, predict_fn="both")
    assert list(proven(package)[0]) == ["label", "0", "1", "2"]
    assert proven(package)[0]["label"] == model.predict(FRAME)[0]


def test_several_outputs_have_no_names_of_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = RandomForestClassifier(3, random_state=0).fit(FRAME, [[0, 1], [1, 0], [0, 0], [1, 1], [0, 1]])
    assert class_names(model) is None
    with pytest.raises(PackagingFailed, match="which does not name the classes of one output"):
        save_model(model, tmp_path / "m", example=FRAME, predict_fn="both")
    assert not caplog.records, "nothing is stored, and nothing said of its form"


def test_a_regression_has_no_probabilities(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match="which has no predict_proba"):
        save_model(LinearRegression().fit(FRAME, range(5)), tmp_path / "m", example=FRAME, predict_fn="both")


def test_a_class_that_is_called_label_leaves_the_column_another_name() -> None:
    assert label_name(["a", "b"]) == "label"
    assert label_name(["label", "predicted_label"]) == "predicted_predicted_label"


def test_a_converted_package_answers_the_same(tmp_path: Path, classifier: Any) -> None:
    old = save_model(classifier, tmp_path / "old", example=FRAME, predict_fn="both", serialization="cloudpickle")
    assert [str(reason) for reason in old.code_reasons()] == ["model.pkl is a pickle"]
    new = convert_to_data_only(old, tmp_path / "new")
    assert new.code_reasons() == []
    assert proven(new) == proven(old)
    assert through_mlflow(new, "both")(FRAME).to_dict(orient="records") == proven(old)


def test_own_modules_come_beside_the_loader(tmp_path: Path, classifier: Any) -> None:
    (tmp_path / "notes_of_churn.py").write_text("X = 1\n")
    package = save_model(
        classifier, tmp_path / "m", example=FRAME, predict_fn="both", code=[tmp_path / "notes_of_churn.py"]
    )
    assert {p.name for p in (package.path / "code").iterdir()} == {"penstock_sklearn.py", "notes_of_churn.py"}
    assert [str(reason) for reason in package.code_reasons()] == ["code/ holds Python modules"]
