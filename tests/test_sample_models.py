"""The sample models: they train, package, and answer through Penstock as they do without it."""

from __future__ import annotations

import importlib.util
import json
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import penstock
from penstock.errors import CodeNotTrusted, PredictError
from penstock.loading import LoadOptions, load_path
from support.commands import Here, exit_code

SAMPLES = Path(__file__).resolve().parents[1] / "sample_models"
FOLDERS = ("iris_sklearn", "breast_cancer_onnx", "diabetes_python")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What each train.py wrote, by folder."""
    places = {folder: tmp_path_factory.mktemp(folder) / "out" for folder in FOLDERS}
    for folder, place in places.items():
        with patch("sys.argv", ["train.py", str(place)]), redirect_stdout(StringIO()):
            runpy.run_path(str(SAMPLES / folder / "train.py"), run_name="__main__")
    return places


@pytest.fixture(scope="module")
def packages(trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample packages, made by the commands that their READMEs name."""
    made = tmp_path_factory.mktemp("packages")
    iris, cancer, diabetes = (trained[folder] for folder in FOLDERS)
    function = str(SAMPLES / "diabetes_python" / "model.py")
    facts = ("--entry", "ProgressionModel", "--batchable", "--artifact", f"facts={diabetes / 'facts.json'}")
    for name, kind, model, example, more in (
        ("iris-1", "sklearn", iris / "v1.joblib", iris / "rows.csv", ()),
        ("iris-2", "sklearn", iris / "v2.joblib", iris / "rows.csv", ()),
        ("cancer", "onnx", cancer / "model.onnx", cancer / "rows.csv", ()),
        ("diabetes", "python", function, diabetes / "request.json", facts),
    ):
        with redirect_stdout(StringIO()):
            assert exit_code("package", kind, model, "--example", example, *more, "-o", made / name) == 0
    return {place.name: place for place in made.iterdir()}


def train_module(folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"train_{folder}", SAMPLES / folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dataset(trained: dict[str, Path], folder: str) -> Any:
    import pandas as pd

    return pd.read_csv(trained[folder] / "dataset.csv")


def predict(package: Path, rows: Any, **params: Any) -> Any:
    with penstock.load_model(package, trust_code=True) as model:
        return model.predict(rows, params)


def score(here: Here, package: Path, rows: Any, place: Path, ending: str, *more: str) -> Any:
    """The rows scored by `penstock score` from and to a file of this format, as a frame."""
    import pandas as pd

    source, target = place / f"rows{ending}", place / f"scored{ending}"
    if ending == ".csv":
        rows.to_csv(source, index=False)
    else:
        rows.to_parquet(source)
    done = here("score", package, source, "-o", target, *more)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(target) if ending == ".csv" else pd.read_parquet(target)


formats = pytest.mark.parametrize("ending", [".csv", ".parquet"])
versions = pytest.mark.parametrize("version", [1, 2])


@pytest.mark.parametrize("folder", FOLDERS)
def test_train_writes_an_example_of_the_rows_to_score(folder: str, trained: dict[str, Path]) -> None:
    import pandas as pd

    rows, data = pd.read_csv(trained[folder] / "rows.csv"), dataset(trained, folder)
    assert list(rows.columns) == list(data.columns)
    assert all(name.isidentifier() and name.islower() for name in rows.columns)
    assert len(rows) == 5
    assert len(data) > 100


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_sample_is_explained(folder: str) -> None:
    assert folder in (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"python sample_models/{folder}/train.py" in (SAMPLES / folder / "README.md").read_text(encoding="utf-8")


def test_train_needs_a_directory() -> None:
    script = str(SAMPLES / "iris_sklearn" / "train.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "usage: train.py OUT_DIR" in done.stderr


@pytest.mark.parametrize("name", ["iris-1", "iris-2", "cancer", "diabetes"])
def test_packages_are_proven_and_their_rows_may_be_joined(name: str, packages: dict[str, Path]) -> None:
    loaded = load_path(packages[name], LoadOptions(trust_code=True, strict_env=True))
    loaded.close()
    assert loaded.proof.repeats
    assert loaded.proof.unjoined == ""
    assert loaded.proof.warnings == ()


@pytest.mark.parametrize("name", ["iris-1", "iris-2", "cancer"])
def test_estimators_are_packaged_as_data(name: str, packages: dict[str, Path]) -> None:
    assert penstock.PackagedModel.open(packages[name]).code_reasons() == []


def test_the_function_is_refused_without_trust(packages: dict[str, Path]) -> None:
    with pytest.raises(CodeNotTrusted, match=r"model\.py"):
        penstock.load_model(packages["diabetes"])


@versions
def test_iris_answers_as_the_estimator(version: int, trained: dict[str, Path], packages: dict[str, Path]) -> None:
    train = train_module("iris_sklearn")
    frame, _ = train.load_rows()
    assert predict(packages[f"iris-{version}"], frame).tolist() == train.fit(version).predict(frame).tolist()


@versions
@formats
def test_iris_scores_files(
    version: int, ending: str, trained: dict[str, Path], packages: dict[str, Path], tmp_path: Path, here: Here
) -> None:
    frame = dataset(trained, "iris_sklearn")
    scored = score(here, packages[f"iris-{version}"], frame, tmp_path, ending)
    assert scored["prediction"].tolist() == train_module("iris_sklearn").fit(version).predict(frame).tolist()


def test_iris_versions_have_one_signature_and_differ_a_little(
    trained: dict[str, Path], packages: dict[str, Path]
) -> None:
    one, two = (penstock.PackagedModel.open(packages[f"iris-{v}"]) for v in (1, 2))
    assert one.manifest.signature == two.manifest.signature
    frame = dataset(trained, "iris_sklearn")
    assert (predict(one.path, frame) != predict(two.path, frame)).sum() == 4


def test_cancer_answers_as_the_estimator(trained: dict[str, Path], packages: dict[str, Path]) -> None:
    train = train_module("breast_cancer_onnx")
    _, frame, _, _ = train.load_rows()
    rows = frame.to_numpy()
    answer, forest = predict(packages["cancer"], rows), train.fit()
    assert answer["label"].tolist() == forest.predict(rows).tolist()
    np.testing.assert_allclose(answer["probabilities"], forest.predict_proba(rows), rtol=1e-6)


@formats
def test_cancer_scores_files(
    ending: str, trained: dict[str, Path], packages: dict[str, Path], tmp_path: Path, here: Here
) -> None:
    frame = dataset(trained, "breast_cancer_onnx")
    scored = score(here, packages["cancer"], frame, tmp_path, ending)
    forest, rows = train_module("breast_cancer_onnx").fit(), frame.to_numpy(dtype=np.float32)
    assert scored["label"].tolist() == forest.predict(rows).tolist()
    np.testing.assert_allclose(scored[["probabilities_0", "probabilities_1"]], forest.predict_proba(rows), rtol=1e-6)


def test_diabetes_answers_as_the_estimator(trained: dict[str, Path], packages: dict[str, Path]) -> None:
    train = train_module("diabetes_python")
    rows, truth = train.load_rows()["score"]
    answer = predict(packages["diabetes"], rows)
    np.testing.assert_allclose(answer["progression"], train.fit().predict(rows), rtol=1e-6)
    inside = (answer["lower"] <= truth.to_numpy()) & (truth.to_numpy() <= answer["upper"])
    assert 0.85 <= inside.mean() <= 0.95


@formats
def test_diabetes_scores_files(
    ending: str, trained: dict[str, Path], packages: dict[str, Path], tmp_path: Path, here: Here
) -> None:
    rows = dataset(trained, "diabetes_python")
    more = ("--trust-code", "--params", json.dumps({"interval": 0.5}))
    scored = score(here, packages["diabetes"], rows, tmp_path, ending, *more)
    direct = predict(packages["diabetes"], rows, interval=0.5)
    assert list(scored.columns) == list(direct.columns)
    for name in ("progression", "lower", "upper"):
        np.testing.assert_allclose(scored[name], direct[name], rtol=1e-6)
    assert scored["reasons"].tolist() == direct["reasons"].tolist()
    assert scored["out_of_range"].tolist() == direct["out_of_range"].tolist()
    np.testing.assert_allclose(scored["progression"], train_module("diabetes_python").fit().predict(rows), rtol=1e-6)


def test_diabetes_gives_reasons_and_flags_what_it_never_saw(
    trained: dict[str, Path], packages: dict[str, Path]
) -> None:
    rows = dataset(trained, "diabetes_python").head(1)
    usual, strange = predict(packages["diabetes"], rows), predict(packages["diabetes"], rows.assign(glucose=500.0))
    assert usual["reasons"][0] == "body_mass_index +67.2, blood_pressure +21.0, sex -12.6"
    assert strange["reasons"][0].startswith("glucose +")
    assert [usual["out_of_range"][0], strange["out_of_range"][0]] == [False, True]


def test_diabetes_takes_a_missing_measurement_for_the_average(
    trained: dict[str, Path], packages: dict[str, Path]
) -> None:
    facts = json.loads((trained["diabetes_python"] / "facts.json").read_text(encoding="utf-8"))
    rows = dataset(trained, "diabetes_python").head(1)
    average = rows.assign(glucose=facts["average"][facts["features"].index("glucose")])
    missing = predict(packages["diabetes"], rows.assign(glucose=np.nan))
    assert missing["progression"][0] == predict(packages["diabetes"], average)["progression"][0]
    assert not missing["out_of_range"][0]


@pytest.mark.parametrize("interval", [0.0, 1.0, 0.9999, float("nan")])
def test_diabetes_refuses_an_interval_without_support(
    interval: float, trained: dict[str, Path], packages: dict[str, Path]
) -> None:
    with pytest.raises(PredictError, match="interval must lie between"):
        predict(packages["diabetes"], dataset(trained, "diabetes_python"), interval=interval)
