"""`import mlflow` without MLflow: what is offered works, what is not is said, and an installed MLflow wins."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import penstock
from fluent.conftest import quiet_figures as quiet_figures
from fluent.conftest import store as store
from fluent.test_room import oldest_python
from penstock import tracking
from penstock.flavors.python.mlflow_stubs import mlflow_installed, standins
from penstock.stand_in import DIRECTORY
from penstock.stand_in.__main__ import main as stand_in_main
from penstock.stand_in.finder import StandInFinder

ROWS, TARGET = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]]), np.array([0, 0, 1, 1])


@pytest.fixture
def mlflow() -> Iterator[Any]:
    yield tracking.as_mlflow()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, StandInFinder)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        del sys.modules[name]


def test_everything_that_is_offered_is_there(mlflow: Any) -> None:
    assert tracking.as_mlflow() is mlflow
    for name in ("mlflow.sklearn", "mlflow.tracking.client", "mlflow.utils.mlflow_tags", "mlflow.entities"):
        module = importlib.import_module(name)
        assert isinstance(module, ModuleType)
        assert dir(module)
    assert mlflow.tracking.MlflowClient is mlflow.MlflowClient is tracking.TrackingClient
    assert mlflow.__version__.endswith("+penstock")
    assert mlflow.data.from_pandas is tracking.data.from_pandas


@pytest.mark.parametrize(
    "statement",
    ["mlflow.evaluate", "import mlflow.evaluate", "from mlflow import evaluate", "from mlflow.evaluate import metrics"],
)
def test_what_is_not_offered_says_what_is(mlflow: Any, statement: str) -> None:
    with pytest.raises((ImportError, AttributeError)) as raised:
        exec(statement, {"mlflow": mlflow})
    said = str(raised.value)
    assert said.startswith("mlflow.evaluate is not offered by Penstock, which stands in for MLflow here")
    assert "pip install mlflow" in said
    assert "dir(mlflow)" in said
    assert len(said) < 250
    assert {"log_metric", "onnx", "sklearn"} <= {*dir(mlflow)}
    assert not hasattr(mlflow, "evaluate")
    with pytest.raises(AttributeError, match=r"did you mean mlflow\.sklearn\.load_model"):
        _ = mlflow.sklearn.load_modle
    with pytest.raises(AttributeError, match=r"did you mean mlflow\.log_metric"):
        _ = mlflow.log_metrik
    with pytest.raises(ImportError, match=r"did you mean mlflow\.sklearn"):
        importlib.import_module("mlflow.sklaern")


def test_a_module_has_what_tools_ask_of_modules(mlflow: Any) -> None:
    for module in (mlflow, mlflow.sklearn):
        assert Path(module.__file__).is_file()
        assert module.__package__ == module.__name__
        assert "stand-in" in module.__doc__
        assert inspect.getfile(module) == module.__file__
        assert hasattr(module, "__path__")
    with pytest.raises(AttributeError, match=r"module 'mlflow' has no attribute '__wrapped__'"):
        _ = mlflow.__wrapped__


def test_a_model_is_logged_registered_and_loaded(mlflow: Any, store: Path) -> None:
    model = LogisticRegression().fit(ROWS, TARGET)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=mlflow.models.infer_signature(ROWS, model.predict(ROWS)),
            input_example=ROWS[:2],
            registered_model_name="iris",
            pip_requirements=["scikit-learn"],
            await_registration_for=10,
        )
    assert info.model_uri.startswith("models:/m-")
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("iris", "champion", info.registered_model_version)
    for uri in ("models:/iris/1", "models:/iris@champion", info.model_uri, f"runs:/{run.info.run_id}/model"):
        assert mlflow.sklearn.load_model(uri).predict(ROWS).tolist() == TARGET.tolist()
    assert mlflow.pyfunc.load_model("models:/iris/latest").predict(ROWS).tolist() == TARGET.tolist()
    with penstock.load_model(mlflow.artifacts.download_artifacts(info.model_uri)) as loaded:
        assert loaded.signature is not None
    with pytest.raises(mlflow.exceptions.MlflowException) as raised:
        client.get_model_version("iris", "9")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_package_is_saved_without_a_run(mlflow: Any, tmp_path: Path) -> None:
    model = LogisticRegression().fit(ROWS, TARGET)
    mlflow.sklearn.save_model(model, str(tmp_path / "m"), serialization_format="skops", input_example=ROWS)
    assert mlflow.sklearn.load_model(str(tmp_path / "m")).predict(ROWS).tolist() == TARGET.tolist()
    assert tracking.active_run() is None


def test_a_registry_apart_and_schemas_need_mlflow(mlflow: Any, store: Path) -> None:
    mlflow.set_registry_uri(mlflow.get_tracking_uri())
    with pytest.raises(penstock.errors.DependencyMissing, match="registry apart"):
        mlflow.set_registry_uri("http://elsewhere")
    with pytest.raises(penstock.errors.DependencyMissing, match="infer_signature"):
        mlflow.models.ModelSignature(None)


def test_autologging_is_switched_as_mlflows_is(
    mlflow: Any, store: Path, quiet_figures: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(LogisticRegression, "score", None)  # of which a warning would tell
    try:
        mlflow.autolog(exclude_flavors=["sklearn"])
        LogisticRegression().fit(ROWS, TARGET)
        assert len(mlflow.search_runs()) == 0
        mlflow.autolog(log_traces=False, silent=True, log_models=False, disable_for_unsupported_versions=True)
        LogisticRegression().fit(ROWS, TARGET)
    finally:
        mlflow.autolog(disable=True)
    assert len(mlflow.search_runs()) == 1
    assert caplog.text == ""


def test_packages_are_loaded_as_without_it(mlflow: Any) -> None:
    assert not mlflow_installed()
    with standins():
        assert hasattr(sys.modules["mlflow"], "trace")
    assert sys.modules["mlflow"] is mlflow


def ran(python: str, program: str, *path: Path, **variables: str) -> str:
    environ = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    environ |= {"PYTHONPATH": os.pathsep.join(map(str, path)), **variables}
    done = subprocess.run([python, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_mlflow_wins(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").write_text("__version__ = 'real'")
    (tmp_path / "mlflow" / "inner.py").write_text("x = 1")
    program = "import mlflow, mlflow.inner; print(mlflow.__version__, mlflow.inner.x)"
    assert ran(sys.executable, program, DIRECTORY, tmp_path) == "real 1\n"


def test_a_directory_called_mlflow_is_no_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(DIRECTORY)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    assert not mlflow_installed()  # what lies in that directory of ours is none, either
    assert importlib.import_module("mlflow").__version__ == "3.18.0+penstock"
    assert not mlflow_installed()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        del sys.modules[name]


def test_an_old_python_without_penstock_gets_the_client_from_the_directory(tmp_path: Path) -> None:
    program = (
        "import mlflow, sys\n"
        "with mlflow.start_run(): mlflow.log_metric('loss', 1)\n"
        "print(sorted({name.split('.')[1] for name in sys.modules if name.startswith('penstock.')}))\n"
    )
    variables = {"PENSTOCK_SPOOL": str(tmp_path), "PENSTOCK_TRACKING_URI": "http://127.0.0.1:1"}
    rooms = ran(oldest_python(), program, DIRECTORY, **variables)
    assert rooms == "['error_text', 'errors', 'fluent', 'mlflow_credentials', 'stand_in', 'store_places', 'version']\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_pages_commands_run_a_program_with_it(tmp_path: Path) -> None:
    """As a person types them, with this Python."""
    page = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text()
    (block,) = (block for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL) if "stand_in" in block)
    typed = "\n".join(line.removeprefix("$ ") for line in block.splitlines())
    (tmp_path / "train.py").write_text("import mlflow, sys; print(mlflow.__version__, sys.argv[1:])")
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-ec", typed], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "3.18.0+penstock ['--depth', '8']\n" * 2


def test_help_is_the_stand_ins_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["stand_in", "--help"])
    stand_in_main()
    told = capsys.readouterr().out
    assert told.startswith("Usage: python -m penstock.stand_in [PROGRAM")
    assert "python -m penstock.stand_in train.py --depth 8\n" in told
    assert max(map(len, told.splitlines())) <= 120
