"""Pickled packages made data-only: the same answers, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from penstock.errors import PackageExists, PackagingFailed
from penstock.flavors.sklearn.flavor import SklearnFlavor
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.manifest import FILE_NAME, Manifest
from penstock.package import PackagedModel, answers_differ
from penstock.package.convert import convert_to_data_only
from penstock.package.save import save_model
from penstock.package.seal import SEAL
from penstock.wire.mlflow.answers import answer_value

FRAME = pd.DataFrame({"a": np.linspace(0, 1, 12), "b": np.linspace(2, -3, 12)})
TARGET = FRAME["a"] * 3 - FRAME["b"]


def pickled(place: Path, estimator: Any = None, **how: Any) -> PackagedModel:
    estimator = LinearRegression().fit(FRAME, TARGET) if estimator is None else estimator
    return save_model(estimator, place, example=FRAME, serialization="cloudpickle", **how)


def answer(package: PackagedModel, *, trust: bool = False) -> Any:
    example = package.example()
    assert example is not None
    return answer_value(package.load(trust_code=trust).predict(example.payload, example.params))


def change(package: PackagedModel, edit: Callable[[dict[str, Any]], None]) -> PackagedModel:
    content = yaml.safe_load((package.path / FILE_NAME).read_bytes())
    edit(content)
    (package.path / FILE_NAME).write_bytes(Manifest(content).dump())
    (package.path / SEAL).unlink()
    return PackagedModel.open(package.path)


@pytest.mark.parametrize("estimator", [LinearRegression(), GradientBoostingRegressor(n_estimators=5, random_state=0)])
def test_the_copy_is_data_only_and_answers_the_same(tmp_path: Path, estimator: Any) -> None:
    old = pickled(tmp_path / "old", estimator.fit(FRAME, TARGET), metadata={"team": "blue"}, requirements=["x==1"])
    new = convert_to_data_only(old, tmp_path / "new")
    assert old.code_reasons()
    assert new.code_reasons() == []
    new.verify()
    assert answers_differ(answer(old, trust=True), answer(new)) == ""
    assert not (new.path / "model.pkl").exists()
    assert new.manifest.signature == old.manifest.signature
    assert new.manifest.metadata["team"] == "blue"
    assert new.manifest.flavors["sklearn"]["serialization_format"] == "skops"
    assert new.manifest.flavors["python_function"]["model_path"] == "model.skops"
    pins = (new.path / "requirements.txt").read_text().splitlines()
    assert "x==1" in pins
    assert len([line for line in pins if line.startswith("skops==")]) == 1
    assert len([line for line in pins if line.startswith("scikit-learn==")]) == 1
    assert (new.path / "serving_input_example.json").read_bytes() == (
        old.path / "serving_input_example.json"
    ).read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"old", "new"}


def test_a_package_that_mlflow_wrote_long_ago_is_converted(tmp_path: Path) -> None:
    """`data` instead of model_path, no serialization_format, no expectation, keys that we do not know."""
    old = pickled(tmp_path / "old")
    (old.path / "expected_output.json").unlink()

    def edit(content: dict[str, Any]) -> None:
        content.pop("metadata")
        content["mlflow_version"] = "1.9.0"
        content["unheard_of"] = {"x": 1}
        content["flavors"]["sklearn"] = {"pickled_model": "model.pkl", "sklearn_version": "0.20.0"}
        content["flavors"]["python_function"] = {
            "loader_module": "mlflow.sklearn",
            "data": "model.pkl",
            "env": "conda.yaml",
        }

    new = convert_to_data_only(change(old, edit), tmp_path / "new")
    assert new.code_reasons() == []
    assert new.manifest.content["unheard_of"] == {"x": 1}
    assert "data" not in new.manifest.flavors["python_function"]
    assert new.manifest.batchable
    example = new.example()
    assert example is not None
    assert example.has_expected
    assert np.allclose(answer(new), TARGET)


def test_code_that_the_estimator_does_not_need_stays_behind(tmp_path: Path) -> None:
    old = pickled(tmp_path / "old")
    (old.path / "code").mkdir()
    (old.path / "code" / "unused_by_linear_model.py").write_text("x = 1\n")

    def edit(content: dict[str, Any]) -> None:
        for flavor in content["flavors"].values():
            flavor["code"] = "code"

    new = convert_to_data_only(change(old, edit), tmp_path / "new")
    assert new.code_reasons() == []
    assert not (new.path / "code").exists()
    assert np.allclose(answer(new), TARGET)


def test_predict_proba_and_unfamiliar_names_survive(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    old = pickled(tmp_path / "old", LogisticRegression().fit(FRAME, TARGET > 2), predict_fn="predict_proba")
    new = convert_to_data_only(old, tmp_path / "new")
    assert [list(row) for row in answer(new)] == [["False", "True"]] * 12


def times_two(values: Any) -> Any:
    return values * 2


def refused(package: PackagedModel, place: Path, why: str) -> None:
    before = {p.name for p in place.parent.iterdir()}
    with pytest.raises(PackagingFailed, match=why):
        convert_to_data_only(package, place)
    assert {p.name for p in place.parent.iterdir()} == before


def test_types_that_nobody_has_reviewed_are_refused(tmp_path: Path) -> None:
    """As skops it would still need --trust-code, so nothing would be won."""
    estimator = make_pipeline(FunctionTransformer(times_two), LinearRegression()).fit(FRAME, TARGET)
    refused(pickled(tmp_path / "old", estimator), tmp_path / "new", "unreviewed types.*times_two")


def test_what_skops_cannot_store_is_refused(tmp_path: Path) -> None:
    class Closure(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def fit(self, X: Any, y: Any) -> Any:
            self.function_: Callable[[Any], Any] = lambda x: x["a"].to_numpy()
            return self

        def predict(self, X: Any) -> Any:
            return self.function_(X)

    refused(pickled(tmp_path / "old", Closure().fit(FRAME, TARGET)), tmp_path / "new", "skops cannot store|reviewed")


def test_other_answers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = pickled(tmp_path / "old")
    other = LinearRegression().fit(FRAME, -TARGET)
    convert = SklearnFlavor.convert

    def wrong(flavor: SklearnFlavor, loaded: Any, directory: Path, manifest: Manifest) -> Any:
        return convert(flavor, SklearnPredictor(other, "predict"), directory, manifest)

    monkeypatch.setattr(SklearnFlavor, "convert", wrong)
    refused(old, tmp_path / "new", r"answers differently: predictions\[0\]")


def test_without_an_example_there_is_nothing_to_compare_on(tmp_path: Path) -> None:
    estimator = LinearRegression().fit(FRAME, TARGET)
    old = save_model(estimator, tmp_path / "old", serialization="cloudpickle")
    refused(old, tmp_path / "new", "no example")


def test_only_code_carrying_packages_of_a_flavor_with_a_data_only_form_are_converted(
    tmp_path: Path, iris_package: Path, iris_onnx_package: Path, python_package: Path
) -> None:
    refused(PackagedModel.open(iris_package), tmp_path / "new", "already data-only")
    refused(PackagedModel.open(iris_onnx_package), tmp_path / "new", "already data-only")
    refused(PackagedModel.open(python_package), tmp_path / "new", "'python_function' has no data-only form")


def test_a_place_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(PackageExists):
        convert_to_data_only(pickled(tmp_path / "old"), tmp_path / "new")


def test_a_pickle_that_needs_the_packages_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads, with its code, and is refused as skops, since its class is nobody's but its own."""
    text = "from sklearn.linear_model import LinearRegression\nclass Special(LinearRegression):\n    pass\n"
    (tmp_path / "special_regression.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import special_regression  # type: ignore[import-not-found]

    estimator = special_regression.Special().fit(FRAME, TARGET)
    old = pickled(tmp_path / "old", estimator, code=[tmp_path / "special_regression.py"])
    assert cloudpickle.dumps(estimator)
    monkeypatch.undo()
    del sys.modules["special_regression"]
    (tmp_path / "special_regression.py").unlink()
    assert np.allclose(answer(old, trust=True), TARGET)
    refused(old, tmp_path / "new", "special_regression")
