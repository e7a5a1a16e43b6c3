"""Which flavor answers for a package; plug-ins."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import penstock.flavors as flavors
from penstock.errors import FlavorUnknown
from penstock.flavors import choose_flavor, get_flavor, known_flavors
from penstock.flavors.interface import CodeReason, Flavor, LoadContext, Predictor
from penstock.manifest import Manifest
from penstock.payload import Payload, Value

PYFUNC, SKLEARN, ONNX = "python_function", "sklearn", "onnx"


def manifest(**sections: Any) -> Manifest:
    return Manifest({"flavors": sections})


def pyfunc(loader: Any) -> dict[str, Any]:
    return {"loader_module": loader}


@pytest.mark.parametrize(
    ("sections", "chosen"),
    [
        ({PYFUNC: pyfunc("mlflow.sklearn"), SKLEARN: {}}, SKLEARN),
        ({PYFUNC: pyfunc("mlflow.onnx"), ONNX: {}}, ONNX),
        ({PYFUNC: pyfunc("mlflow.sklearn"), SKLEARN: {}, ONNX: {}}, SKLEARN),  # as its python_function says
        ({PYFUNC: pyfunc("mlflow.sklearn")}, SKLEARN),
        ({PYFUNC: pyfunc("mlflow.pyfunc.model"), SKLEARN: {}}, PYFUNC),
        ({PYFUNC: pyfunc("my_loader"), SKLEARN: {}, ONNX: {}}, PYFUNC),
        ({PYFUNC: pyfunc("penstock_loader")}, PYFUNC),
        ({PYFUNC: {}, SKLEARN: {}}, PYFUNC),
        ({PYFUNC: pyfunc(["odd"])}, PYFUNC),
        ({SKLEARN: {}, ONNX: {}}, ONNX),
        ({SKLEARN: {}, "xgboost": {}}, SKLEARN),
    ],
)
def test_the_flavor_that_answers(sections: dict[str, Any], chosen: str) -> None:
    assert choose_flavor(manifest(**sections)).name == chosen


def test_an_override_must_be_known_and_present() -> None:
    package = manifest(python_function=pyfunc("mlflow.sklearn"), sklearn={}, onnx={})
    assert choose_flavor(package, "onnx").name == ONNX
    assert choose_flavor(package, "python_function").name == PYFUNC
    with pytest.raises(FlavorUnknown, match="no flavor 'tensorflow'"):
        choose_flavor(package, "tensorflow")
    with pytest.raises(FlavorUnknown, match="The package has no flavor 'onnx'") as caught:
        choose_flavor(manifest(sklearn={}), "onnx")
    assert "sklearn" in caught.value.hint


def test_a_package_of_unknown_flavors_alone() -> None:
    with pytest.raises(FlavorUnknown, match="keras, spark") as caught:
        choose_flavor(manifest(spark={}, keras={}))
    assert "onnx, sklearn, python_function" in caught.value.hint
    with pytest.raises(FlavorUnknown, match="none"):
        choose_flavor(manifest())


class Echo(Flavor):
    name = "echo"

    def artifact(self, manifest: Manifest) -> str:
        return "echo.txt"

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        return []

    def load(self, context: LoadContext) -> Predictor:
        class Repeat(Predictor):
            def _predict(self, payload: Payload, params: Any) -> Payload:
                return payload

        return Repeat()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Entry points as if distributions had declared them: name -> target."""
    declared: dict[str, str] = {}
    module = ModuleType("plugin_for_echo")
    module.Echo = Echo  # type: ignore[attr-defined]
    module.NoFlavor = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugin_for_echo", module)

    def entry_points(*, group: str) -> EntryPoints:
        assert group == "penstock.flavors"
        return EntryPoints(EntryPoint(name, target, group) for name, target in declared.items())

    monkeypatch.setattr(flavors, "entry_points", entry_points)
    flavors._plugins.cache_clear()
    flavors.get_flavor.cache_clear()
    yield declared
    flavors._plugins.cache_clear()
    flavors.get_flavor.cache_clear()


def test_a_plug_in_adds_a_flavor(plugins: dict[str, str]) -> None:
    plugins["echo"] = "plugin_for_echo:Echo"
    assert known_flavors() == [ONNX, SKLEARN, PYFUNC, "echo"]
    assert isinstance(get_flavor("echo"), Echo)
    package = manifest(echo={}, spark={})
    predictor = choose_flavor(package).load(LoadContext(Path(), package))
    value = Value("hi")
    assert predictor.predict(value, {}) is value
    assert choose_flavor(manifest(echo={}, sklearn={})).name == SKLEARN  # what is built in comes first
    assert choose_flavor(manifest(echo={}, sklearn={}), "echo").name == "echo"


def test_a_plug_in_cannot_take_a_built_in_name(plugins: dict[str, str]) -> None:
    plugins["sklearn"] = "plugin_for_echo:Echo"
    assert get_flavor("sklearn").name == SKLEARN
    assert known_flavors() == [ONNX, SKLEARN, PYFUNC]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("no_such_module_anywhere:Echo", "ModuleNotFoundError"),
        ("plugin_for_echo:Missing", "AttributeError"),
        ("plugin_for_echo:NoFlavor", "gives no Flavor"),
    ],
)
def test_a_broken_plug_in_is_named(plugins: dict[str, str], target: str, why: str) -> None:
    plugins["broken"] = target
    with pytest.raises(FlavorUnknown, match=f"'broken' .*{why}"):
        choose_flavor(manifest(broken={}))
    assert choose_flavor(manifest(sklearn={})).name == SKLEARN
