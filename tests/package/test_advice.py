"""A model that fails while it is tried: the refusal names the option that helps, and with it the package is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import penstock
from package.packaging import source
from penstock.cli.remedies import hint_of
from penstock.errors import PackagingFailed
from support.commands import Here

ROWS = pd.DataFrame({"city": ["Berlin", "Paris"]})
BY_WORKING_DIRECTORY = """
import json, pathlib
def predict(inputs):
    return [json.loads(pathlib.Path("cities.json").read_text())[city] for city in inputs["city"]]
"""
BESIDE_ITSELF = """
import json, pathlib
SIZES = json.loads((pathlib.Path(__file__).parent / "cities.json").read_text())
def predict(inputs):
    return [SIZES[city] for city in inputs["city"]]
"""
AS_ARTIFACT = """
import json, pathlib
class Model:
    def load(self, context):
        self.sizes = json.loads(pathlib.Path(context.artifacts["cities"]).read_text())
    def predict(self, inputs):
        return [self.sizes[city] for city in inputs["city"]]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with rows.csv and cities.json."""
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "cities.json").write_text('{"Berlin": 3.7, "Paris": 2.1}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", [BY_WORKING_DIRECTORY, BESIDE_ITSELF])
def test_a_file_of_data_that_the_package_does_not_have_is_refused(here: Here, place: Path, text: str) -> None:
    refused = here("package", "python", str(source(place, text)), "--example", "rows.csv", "-o", "m")
    assert refused.returncode == 1
    assert "--artifact cities=cities.json" in refused.stderr
    assert "--code cities.json" in refused.stderr
    with pytest.raises(PackagingFailed) as failed:
        penstock.save_model(source(place, text), place / "m", example=ROWS)
    assert "artifacts={'cities': 'cities.json'}" in failed.value.hint
    assert Path.cwd() == place


@pytest.mark.parametrize(
    ("text", "flags"),
    [(BESIDE_ITSELF, ["--code", "cities.json"]), (AS_ARTIFACT, ["--artifact", "cities=cities.json"])],
)
def test_with_the_option_that_the_refusal_names_it_works_elsewhere(
    here: Here, place: Path, text: str, flags: list[str]
) -> None:
    source(place, text, "sizes.py")
    made = here("package", "python", "sizes.py", "--example", "rows.csv", "-o", "m", *flags)
    assert made.returncode == 0, made.stderr
    shutil.move(place / "m", place / "elsewhere")
    (place / "cities.json").unlink()
    with penstock.load_model(place / "elsewhere", trust_code=True) as model:
        assert model.predict(ROWS) == [3.7, 2.1]


def test_an_artifact_that_is_not_given_is_named(here: Here, place: Path) -> None:
    source(place, AS_ARTIFACT, "sizes.py")
    refused = here("package", "python", "sizes.py", "--example", "rows.csv", "-o", "m")
    assert "--artifact cities=FILE" in refused.stderr


def test_a_param_that_is_not_given_is_named(here: Here, place: Path) -> None:
    source(place, "def predict(inputs, params):\n    return [params['factor']] * len(inputs)\n", "scaled.py")
    given = ["package", "python", "scaled.py", "--example", "rows.csv", "-o", "m"]
    assert "--param factor=1.0" in here(*given).stderr
    assert here(*given, "--param", "factor=1.0").returncode == 0


@pytest.mark.parametrize(
    "text", ["def predict(inputs, factor=2.0, unit='m'):", "class Model:\n  def predict(self, inputs, factor=2.0):"]
)
def test_params_one_by_one_are_refused_with_how_they_are_written(place: Path, text: str) -> None:
    with pytest.raises(PackagingFailed, match="second argument of predict is the dict of all params") as failed:
        penstock.save_model(source(place, f"{text}\n    return inputs"), place / "m", example=ROWS)
    assert "params={'factor': 2.0}" in failed.value.hint
    assert hint_of(failed.value).endswith("repeat the command with --param factor=2.0")


@pytest.mark.parametrize("text", ["def predict(inputs, params=None):", "def predict(inputs, *, factor=2.0):"])
def test_other_defaults_are_nobodys_business(place: Path, text: str) -> None:
    assert penstock.save_model(source(place, f"{text}\n    return [1.0, 2.0]\n"), place / "m", example=ROWS).path


def age(rows: pd.DataFrame) -> pd.DataFrame:
    return (pd.Timestamp("2024-06-01") - rows.iloc[:, 0]).dt.days.to_frame()


def test_dates_in_a_csv_are_told_with_the_flag_that_makes_them_dates(here: Here, place: Path) -> None:
    frame = pd.DataFrame({"signed_up": pd.to_datetime(["2021-01-02", "2022-03-04"])})
    frame.to_csv("dates.csv", index=False)
    joblib.dump(make_pipeline(FunctionTransformer(age), LinearRegression()).fit(frame, [1.0, 2.0]), "m.joblib")
    given = ["package", "sklearn", "m.joblib", "--example", "dates.csv", "-o", "m"]
    assert "--datetime signed_up" in here(*given).stderr
    made = here(*given, "--datetime", "signed_up")
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("model", [age, LinearRegression, lambda rows: rows])
def test_functions_and_classes_are_told_to_become_files(place: Path, model: object) -> None:
    with pytest.raises(PackagingFailed, match="There is no flavor") as failed:
        penstock.save_model(model, place / "m", example=ROWS)
    assert "%%writefile model.py" in failed.value.hint
