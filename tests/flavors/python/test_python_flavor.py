"""Python functions: every way to write one, and that none harms the process it runs in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from penstock.errors import (
    ArtifactInvalid,
    CodeConflict,
    DependencyMissing,
    PackageInvalid,
    PackagingFailed,
    PredictError,
)
from penstock.flavors import LoadContext
from penstock.flavors import code_path as code
from penstock.flavors.code_path import add_code_directory, lent_code
from penstock.flavors.python import flavor as pyfunc
from penstock.flavors.python.flavor import PyfuncFlavor
from penstock.flavors.python.predictor import PyfuncPredictor
from penstock.flavors.python.source_package import PythonOptions
from penstock.manifest import Manifest
from penstock.package import PackagedModel
from penstock.package.needs.own_code import check_code, copy_code
from penstock.package.save import save_model
from penstock.payload import Payload, Table, Tensors, Value

ROWS = Table(("a", "b"), block=np.array([[1.0, 2.0], [3.0, 4.0]]))


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """What packages add to this process goes again: the path, modules, and who owns them."""
    path, modules, owners, bytecode = list(sys.path), set(sys.modules), dict(code._owners), sys.dont_write_bytecode
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith(("pandas", "numpy", "pyarrow", "sklearn", "yaml")):
            del sys.modules[name]
    code._owners.clear()
    code._owners.update(owners)
    sys.dont_write_bytecode = bytecode


def load(directory: Path, settings: dict[str, Any], *, digest: str = "d" * 64, **more: Any) -> PyfuncPredictor:
    manifest = Manifest({"flavors": {"python_function": settings}, "metadata": more.pop("metadata", {})})
    return PyfuncFlavor().load(LoadContext(directory, manifest, digest, trusted=True, **more))


def written(place: Path, text: str, code: Sequence[Path] = (), **how: Any) -> PyfuncPredictor:
    """Written as `penstock package python` does, and loaded."""
    place.mkdir(parents=True, exist_ok=True)
    source = place / "in.py"
    source.write_text(text)
    directory = place / "package"
    directory.mkdir()
    made = PyfuncFlavor().write(source, directory, PythonOptions(**how))
    copy_code(check_code(code), directory / "code")
    return load(directory, dict(made.flavors["python_function"]), digest=sha256(str(place).encode()).hexdigest())


def plain(payload: Payload) -> Any:
    if isinstance(payload, Value):
        return payload.value
    assert isinstance(payload, Tensors)
    return payload.arrays[0].tolist()


# ways to write a model


def test_a_function_gets_the_rows_as_a_frame(tmp_path: Path) -> None:
    made = written(tmp_path, "def predict(inputs):\n    return inputs['a'].to_numpy() * 2\n")
    assert plain(made.predict(ROWS, {"ignored": 1})) == [2.0, 6.0]


def test_a_function_that_wants_params_gets_them(tmp_path: Path) -> None:
    made = written(tmp_path, "def predict(inputs, params):\n    return [dict(params), type(inputs).__name__]\n")
    assert plain(made.predict(ROWS, {"t": 0.5})) == [{"t": 0.5}, "DataFrame"]
    assert plain(made.predict(ROWS, {})) == [{}, "DataFrame"]
    assert plain(made.predict(Tensors.single(np.zeros(2)), {})) == [{}, "ndarray"]
    assert plain(made.predict(Tensors.named({"x": np.zeros(2)}), {})) == [{}, "dict"]
    assert plain(made.predict(Value({"messages": []}), {})) == [{}, "dict"]


def test_a_class_is_loaded_once(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("seven")
    text = """
from pathlib import Path

class Model:
    loads = 0

    def load(self, context):
        type(self).loads += 1
        self.words = Path(context.artifacts["words"]).read_text()
        self.config = context.model_config

    def predict(self, inputs, params):
        return [self.loads, self.words, self.config["depth"], len(inputs)]
"""
    made = written(tmp_path, text, artifacts={"words": tmp_path / "words.txt"}, config={"depth": 3})
    for _ in range(2):
        assert plain(made.predict(ROWS, {})) == [1, "seven", 3, 2]


def test_a_class_needs_no_load_and_an_entry_may_be_named(tmp_path: Path) -> None:
    text = "class Other:\n    def predict(self, x):\n        return 'other'\ndef predict(x):\n    return 'function'\n"
    assert plain(written(tmp_path / "a", text, entry="Other").predict(ROWS, {})) == "other"
    assert plain(written(tmp_path / "b", text).predict(ROWS, {})) == "function"


def test_configuration_at_load_wins_over_the_packaged_one(tmp_path: Path) -> None:
    text = (
        "class Model:\n    def load(self, context):\n        self.config = context.model_config\n"
        "    def predict(self, x):\n        return self.config\n"
    )
    written(tmp_path, text, config={"a": 1, "b": 2})
    settings = {"loader_module": "penstock_loader", "source": "model.py", "config": {"a": 1, "b": 2}}
    made = load(tmp_path / "package", settings, config={"b": 3})
    assert plain(made.predict(ROWS, {})) == {"a": 1, "b": 3}


def test_dataclasses_and_annotations_in_a_source_work(tmp_path: Path) -> None:
    text = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Point:
    x: int

def predict(inputs):
    return Point(3).x
"""
    assert plain(written(tmp_path, text).predict(ROWS, {})) == 3


def test_a_batchable_list_is_rows(tmp_path: Path) -> None:
    text = "def predict(inputs):\n    return [{'n': i} for i in range(len(inputs))]\n"
    settings = {"loader_module": "penstock_loader", "source": "model.py"}
    written(tmp_path, text)
    own = {"penstock": {"format": 1, "batchable": True}}
    together = load(tmp_path / "package", settings, metadata=own)
    assert together.joinable
    answer = together.predict(ROWS, {})
    assert isinstance(answer, Tensors)
    assert answer.rows == 2
    alone = load(tmp_path / "package", settings)
    assert not alone.joinable
    assert isinstance(alone.predict(ROWS, {}), Value)


def test_two_versions_never_share_code(tmp_path: Path) -> None:
    one = written(tmp_path / "one", "NAME = 'one'\ndef predict(inputs):\n    return NAME\n")
    two = written(tmp_path / "two", "NAME = 'two'\ndef predict(inputs):\n    return NAME\n")
    assert [plain(m.predict(ROWS, {})) for m in (one, two, one)] == ["one", "two", "one"]


# what goes wrong


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise ValueError('bad')", "ValueError: bad"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("return inputs['gone']", "KeyError"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("return predict(inputs)", "RecursionError"),
    ],
)
def test_whatever_a_model_does_is_a_predict_error(tmp_path: Path, body: str, why: str) -> None:
    made = written(tmp_path, f"def predict(inputs):\n    {body}\n")
    with pytest.raises(PredictError, match=why):
        made.predict(ROWS, {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise SystemExit(3)\n", "SystemExit"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("from sys import no_such_name\n", "no_such_name"),
        ("x = 1\n", "no callable named predict or Model"),
        ("class Model:\n    pass\n", "predict"),
        ("class Model:\n    def __init__(self):\n        exit()\n", "SystemExit"),
        (
            "class Model:\n    def load(self, context):\n        raise OSError('gone')\n    predict = print\n",
            "OSError: gone",
        ),
    ],
)
def test_code_that_fails_while_loading_is_an_invalid_artifact(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ArtifactInvalid, match=f"failed while loading: .*{why}"):
        written(tmp_path, text)
    assert not [name for name in sys.modules if name.startswith("penstock_model_") and "in.py" in name]


def test_a_module_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(DependencyMissing, match=r"the module 'no_such_module_here', which.*requirements\.txt"):
        written(tmp_path, "import no_such_module_here\n")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "no loader_module"),
        ({"loader_module": ["x"]}, "no loader_module"),
        ({"loader_module": "penstock_loader"}, "no Python source"),
        ({"loader_module": "penstock_loader", "source": "gone.py"}, "not in the package"),
        ({"loader_module": "penstock_loader", "source": "../in.py"}, "outside the package"),
        ({"loader_module": "penstock_loader", "source": "model.py", "config": [1]}, "config is not a mapping"),
        (
            {"loader_module": "penstock_loader", "source": "model.py", "artifacts": {"a": {"path": "../in.py"}}},
            "outside the package",
        ),
        ({"loader_module": "my_loader", "code": "gone"}, "not in the package"),
    ],
)
def test_manifests_that_cannot_be_followed_are_refused(tmp_path: Path, settings: dict[str, Any], why: str) -> None:
    written(tmp_path, "def predict(inputs):\n    return 1\n")
    with pytest.raises(PackageInvalid, match=why):
        load(tmp_path / "package", settings)


@pytest.mark.parametrize("extra", ["broken.py", "folder_of_code"])
def test_what_comes_along_must_be_python_that_parses(tmp_path: Path, extra: str) -> None:
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "folder_of_code").mkdir()
    (tmp_path / "folder_of_code" / "broken.py").write_text("def (")
    with pytest.raises(PackagingFailed, match="not valid Python"):
        written(tmp_path, "def predict(x):\n    return 1\n", code=(tmp_path / extra,))


def test_data_files_may_come_along_in_code(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("not Python (")
    written(tmp_path, "def predict(x):\n    return 1\n", code=(tmp_path / "words.txt",))
    assert (tmp_path / "package" / "code" / "words.txt").is_file()


# code directories


LOADER = """
import numpy as np
from parts_of_{n} import factor

class Wrapped:
    def __init__(self, path, config):
        self.path, self.config = path, config

    def predict(self, model_input{params}):
        return [self.path.rsplit("/", 1)[1], factor, self.config{answer}]

def _load_pyfunc(path, model_config=None):
    return Wrapped(path, model_config)
"""


def mlflow_style(place: Path, n: str, *, factor: int = 1, params: bool = False, **settings: Any) -> dict[str, Any]:
    """A package as MLflow writes it for a loader module of the user's own."""
    directory = place / "code" / f"parts_of_{n}"
    directory.mkdir(parents=True)
    (directory / "__init__.py").write_text(f"factor = {factor}\n")
    text = LOADER.format(n=n, params=", params=None" if params else "", answer=", params" if params else "")
    (place / "code" / f"loader_of_{n}.py").write_text(text)
    return {"loader_module": f"loader_of_{n}", "code": "code", **settings}


def test_a_loader_module_in_code_is_imported(tmp_path: Path) -> None:
    settings = mlflow_style(tmp_path, "one", factor=7)
    made = load(tmp_path, settings)
    assert plain(made.predict(ROWS, {"t": 1})) == [tmp_path.name, 7, None]


def test_a_loader_module_gets_data_config_and_params(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    settings = mlflow_style(tmp_path, "two", params=True, data="data", config={"k": 1})
    made = load(tmp_path, settings)
    assert plain(made.predict(ROWS, {"t": 1})) == ["data", 1, {"k": 1}, {"t": 1}]


def test_an_absent_predict_function_is_refused(tmp_path: Path) -> None:
    settings = mlflow_style(tmp_path, "three", predict_fn="score")
    with pytest.raises(ArtifactInvalid, match="score"):
        load(tmp_path, settings)


def test_a_name_taken_by_another_package_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = mlflow_style(one, "both", factor=1)
    mlflow_style(two, "both", factor=2)
    first = load(one, settings, digest="1" * 64)
    with pytest.raises(CodeConflict, match=r"'parts_of_both', but package 111111111111 has already loaded another"):
        load(two, settings, digest="2" * 64)
    assert plain(first.predict(ROWS, {})) == ["one", 1, None]
    again = load(one, settings, digest="1" * 64)  # the same package may be loaded twice
    assert plain(again.predict(ROWS, {})) == ["one", 1, None]


def test_a_name_taken_by_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "json.py").write_text("")
    with pytest.raises(CodeConflict, match=r"'json', but a module of that name is loaded already from .*json"):
        add_code_directory(tmp_path / "code", "1" * 64)
    assert str(tmp_path / "code") not in sys.path


def test_packages_of_ours_may_all_have_our_loader(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"helper_in_{name}.py").write_text(f"NAME = {name!r}\n")
        made = written(
            tmp_path / name / "m",
            f"from helper_in_{name} import NAME\ndef predict(x):\n    return NAME\n",
            code=(tmp_path / name / f"helper_in_{name}.py",),
        )
        assert plain(made.predict(ROWS, {})) == name


def test_lent_code_is_given_back(tmp_path: Path) -> None:
    settings = mlflow_style(tmp_path, "lent")
    path, owners = list(sys.path), dict(code._owners)
    with lent_code(tmp_path):
        load(tmp_path, settings)
        assert "loader_of_lent" in sys.modules
    assert sys.path == path
    assert code._owners == owners
    assert not {"loader_of_lent", "parts_of_lent"} & set(sys.modules)


def test_only_modules_that_were_added_are_asked_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds are there before: a quarter of a second for each package that is made."""
    asked: list[ModuleType] = []
    monkeypatch.setattr(code, "_lies_in", lambda module, root: asked.append(module))
    with lent_code(tmp_path):
        load(tmp_path, mlflow_style(tmp_path, "added"))
    added = {sys.modules.pop(name) for name in ("loader_of_added", "parts_of_added")}
    assert added <= set(asked)
    assert not {np, pytest} & set(asked)


def test_no_bytecode_is_written_into_a_sealed_package(tmp_path: Path) -> None:
    (tmp_path / "helper_of_sealed.py").write_text("X = 1\n")
    # Imported while predicting: when the source itself is run, bytecode is off anyway.
    (tmp_path / "m.py").write_text("def predict(inputs):\n    import helper_of_sealed\n    return inputs.to_numpy()\n")
    import pandas as pd

    package = save_model(
        tmp_path / "m.py",
        tmp_path / "package",
        example=pd.DataFrame({"a": [1.0]}),
        code=[tmp_path / "helper_of_sealed.py"],
    )
    sys.dont_write_bytecode = False
    package.load(trust_code=True).predict(ROWS, {})
    assert not list(package.path.rglob("*.pyc"))
    PackagedModel.open(package.path).verify()


def test_a_shared_package_answers(python_package: Path) -> None:
    made = PackagedModel.open(python_package).load(trust_code=True)
    assert plain(made.predict(ROWS, {"offset": 1.0})) == [7.0, 15.0]
    assert made.joinable


# MLflow's own loaders


@pytest.mark.parametrize(
    "loader",
    [
        "mlflow.xgboost",
        "mlflow.langchain",
    ],
)
def test_loaders_of_mlflows_own_need_mlflow(tmp_path: Path, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyfunc, "mlflow_installed", lambda: False)
    settings = {"loader_module": loader, "python_model": "python_model.pkl", "code": None}
    with pytest.raises(DependencyMissing, match=f"'{loader}'.*MLflow is not installed") as caught:
        load(tmp_path, settings)
    assert "pip install mlflow" in caught.value.hint


def test_predictors_call_anything_callable() -> None:
    made: Callable[..., Any] = np.asarray  # a builtin without a signature that Python can read
    predictor = PyfuncPredictor(made, joinable=False)
    assert plain(predictor.predict(Value([1, 2]), {})) == [1, 2]
