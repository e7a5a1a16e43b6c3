"""The example plug-in as its users meet it: MLflow's packages, the command line, processes of its own, and the docs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from flavors.plug_in import EXAMPLE, installed
from penstock.environments.requirements import read_wanted
from penstock.errors import ArtifactInvalid, DependencyMissing, PackagingFailed
from penstock.flavors import get_flavor, known_flavors
from penstock.flavors.table import BUILT_IN
from penstock.loading import LoadOptions
from penstock.manifest import FILE_NAME
from penstock.package import PackagedModel
from penstock.package.save import save_model
from penstock.payload import Table, Tensors
from penstock.serving.runners.isolation import Isolation, load_served
from penstock.signature import Signature
from penstock.wire.mlflow.answers import answer_value
from support.commands import Here

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]})
DOCS = Path(__file__).parents[2] / "docs" / "flavors.md"
WEIGHTS = {"columns": ["a", "b"], "weights": [1.0, 0.5], "intercept": 100.0}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    with installed(tmp_path / "site") as place:
        yield place


@pytest.fixture
def saved_by_mlflow(tmp_path: Path) -> PackagedModel:
    """Written as a flavor of MLflow's own would be: its loader module, its section, no seal and nothing of ours."""
    place = tmp_path / "from-mlflow"
    place.mkdir()
    (place / "model.linear").write_text(json.dumps(WEIGHTS))
    content = {
        "artifact_path": "model",
        "flavors": {
            "linear": {"code": None, "data": "model.linear", "linear_version": "0.9"},
            "python_function": {
                "data": "model.linear",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.linear",
                "python_version": "3.11.7",
            },
        },
        "mlflow_version": "3.18.0",
        "model_uuid": "0" * 32,
        "utc_time_created": "2026-01-01 00:00:00.000000",
    }
    (place / FILE_NAME).write_text(yaml.safe_dump(content))
    (place / "requirements.txt").write_text("mlflow==3.18.0\n")
    return PackagedModel.open(place)


def test_a_package_that_mlflow_saved_reaches_the_plug_in(saved_by_mlflow: PackagedModel, site: Path) -> None:
    assert saved_by_mlflow.flavor().name == "linear"
    assert saved_by_mlflow.code_reasons() == []
    answer = saved_by_mlflow.load().predict(Table(("b", "a"), block=FRAME[["b", "a"]].to_numpy()), None)
    assert isinstance(answer, Tensors)
    assert answer.arrays[0].tolist() == [106.0, 112.0]


def test_without_the_plug_in_that_package_is_left_to_mlflow(saved_by_mlflow: PackagedModel) -> None:
    assert "linear" not in known_flavors()
    assert saved_by_mlflow.flavor().name == "python_function"
    assert "mlflow.linear" in str(saved_by_mlflow.code_reasons()[0])
    with pytest.raises(DependencyMissing, match=r"loaded by 'mlflow.linear'"):
        saved_by_mlflow.load(trust_code=True)


def test_an_environment_for_such_a_package_has_the_plug_in(saved_by_mlflow: PackagedModel, site: Path) -> None:
    wanted = read_wanted(saved_by_mlflow, trust_code=False)
    assert "penstock-linear" in wanted.requirements
    assert not any(line.startswith("mlflow") for line in wanted.requirements)


def test_options_of_a_plug_in_are_keywords_of_save_model(tmp_path: Path, site: Path) -> None:
    from penstock_linear import LinearModel  # type: ignore[import-not-found]

    model = LinearModel(("a", "b"), (0.0, 0.0))
    package = save_model(model, tmp_path / "m", example=FRAME, link="logistic")
    example = package.example()
    assert example is not None
    assert answer_value(package.load().predict(example.payload, None)) == [0.5, 0.5]
    with pytest.raises(PackagingFailed, match="one of identity, logistic, not 'cubic'"):
        save_model(model, tmp_path / "n", example=FRAME, link="cubic")
    with pytest.raises(PackagingFailed, match="'linear' has no option lnik") as caught:
        save_model(model, tmp_path / "n", example=FRAME, lnik="logistic")
    assert caught.value.hint == "The flavor's options are: link."


def test_a_package_of_a_plug_in_is_served_in_a_process_of_its_own(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock_linear import LinearModel

    package = save_model(LinearModel(("a", "b"), (1.0, 1.0)), tmp_path / "m", example=FRAME)
    monkeypatch.setenv("PYTHONPATH", str(site))
    loaded = load_served(package.path, LoadOptions(), Isolation("process"))
    try:
        assert loaded.flavor == "linear"
        assert isinstance(loaded.signature, Signature)
        assert loaded.proof.repeats
        assert not loaded.proof.unjoined
    finally:
        loaded.close()


def test_the_command_line_packages_a_file_by_a_plug_in(tmp_path: Path, site: Path, here: Here) -> None:
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "weights.json").write_text(json.dumps(WEIGHTS))
    assert "linear" in here("package", "--help").stdout
    explained = here("package", "linear", "--help").stdout
    assert "--link TEXT" in explained
    made = here("package", "linear", "weights.json", "--example", "rows.csv", "-o", "model", "--link", "logistic")
    assert made.returncode == 0, made.stderr
    assert "data-only: loading" in made.stdout
    package = PackagedModel.open(tmp_path / "model")
    assert json.loads((package.path / "linear.json").read_text())["link"] == "logistic"
    missing = here("package", "linear", "none.json", "--example", "rows.csv", "-o", "other")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "There is no file none.json" in missing.stderr
    unknown = here("package", "cubic", "weights.json")
    assert unknown.returncode == 2


def test_mlflow_finds_its_loader_in_the_package(tmp_path: Path, site: Path) -> None:
    """What MLflow does: import the loader module, hand it the path of `data`, call `predict` with a frame."""
    from penstock_linear import LinearModel

    package = save_model(LinearModel(("b", "a"), (0.5, 1.0), 100.0), tmp_path / "m", example=FRAME)
    script = """if True:
        import importlib, sys, pandas, yaml
        root = sys.argv[1]
        section = yaml.safe_load(open(f"{root}/MLmodel"))["flavors"]["python_function"]
        model = importlib.import_module(section["loader_module"])._load_pyfunc(f"{root}/{section['data']}")
        print(model.predict(pandas.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]})).tolist())
    """
    done = subprocess.run(
        [sys.executable, "-c", script, str(package.path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(site)},
    )
    assert done.stdout.strip() == "[106.0, 112.0]"


def test_what_a_plug_in_leaves_untranslated_is_a_packages_error(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import penstock_linear

    model = penstock_linear.LinearModel(("a", "b"), (1.0, 1.0))
    package = save_model(model, tmp_path / "m", example=FRAME)

    def fails(*_: Any) -> Any:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr(penstock_linear, "read_model", fails)
    with pytest.raises(ArtifactInvalid, match=r"'linear' cannot load linear\.json: ZeroDivisionError: one two\.$"):
        package.load()
    monkeypatch.setattr(penstock_linear, "asdict", fails)
    with pytest.raises(PackagingFailed, match=r"'linear' cannot package the model: ZeroDivisionError: one two\.$"):
        save_model(model, tmp_path / "n", example=FRAME)
    assert not (tmp_path / "n").exists()


def test_the_docs_list_the_built_in_flavors() -> None:
    lines = DOCS.read_text().splitlines()
    for entry in BUILT_IN:
        (row,) = [line for line in lines if line.startswith(f"| `{entry.name}` |")]
        flavor = get_flavor(entry.name)
        modules = {re.sub(r"(?<=pyfunc\.loaders\.).*", "*", module) for module in flavor.loader_modules}
        options = {field.name for field in fields(flavor.options_type)}
        assert modules | options <= set(re.findall("`([^`]+)`", row))


@pytest.mark.parametrize("file", ["penstock_linear.py", "pyproject.toml"])
def test_the_docs_hold_the_example_as_it_is_tested(file: str) -> None:
    kind = {".py": "python", ".toml": "toml"}[Path(file).suffix]
    assert f"```{kind}\n{(EXAMPLE / file).read_text()}```" in DOCS.read_text()
