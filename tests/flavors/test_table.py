"""Which flavor answers for a package or an object: built-in ones, plug-ins, and plug-ins that are broken or at odds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from penstock.errors import FlavorConflict, FlavorUnknown, PackagingFailed
from penstock.flavors import CodeReason, Flavor, FlavorOptions, LoadContext, Predictor, choose_flavor
from penstock.flavors.entry import FlavorEntry
from penstock.flavors.table import BUILT_IN, FlavorTable
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
        ({PYFUNC: pyfunc("mlflow.lightgbm"), "lightgbm": {}}, PYFUNC),  # as long as no plug-in claims it
    ],
)
def test_the_flavor_that_answers_is_that_of_python_function(sections: dict[str, Any], chosen: str) -> None:
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


def test_a_package_of_unknown_flavors_alone_is_refused() -> None:
    with pytest.raises(FlavorUnknown, match="keras, spark") as caught:
        choose_flavor(manifest(spark={}, keras={}))
    assert "onnx, sklearn, python_function" in caught.value.hint
    with pytest.raises(FlavorUnknown, match="none"):
        choose_flavor(manifest())


class Echo(Flavor):
    interface = 1
    name = "echo"
    loader_modules = frozenset({"mlflow.echo", "mlflow.sklearn"})  # the second one is a built-in flavor's

    def artifact(self, manifest: Manifest) -> str:
        return "echo.txt"

    def code_reasons(self, directory: Path, manifest: Manifest) -> list[CodeReason]:
        return []

    def load(self, context: LoadContext) -> Predictor:
        class Repeat(Predictor):
            def _predict(self, payload: Payload, params: Any) -> Payload:
                return payload

        return Repeat()

    def accepts(self, model: Any) -> bool:
        return bool(getattr(model, "echoes", False))


class Shout(Echo):
    name = "shout"


class Estimator:
    """Looks like scikit-learn's, as LightGBM's and XGBoost's do."""

    echoes = True

    def fit(self) -> None: ...

    def get_params(self) -> None: ...


class Explodes(Echo):
    name = "explodes"

    def accepts(self, model: Any) -> bool:
        raise ZeroDivisionError("one\ntwo")


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What the entries of the tests below point into."""
    made = ModuleType("plugin_for_echo")
    vars(made).update(
        Echo=Echo,
        Shout=Shout,
        Explodes=Explodes,
        NoFlavor=dict,
        Unfinished=type("Unfinished", (Flavor,), {"interface": 1, "name": "broken"}),
        Old=type("Old", (Echo,), {"interface": 0, "name": "broken"}),
        Misnamed=type("Misnamed", (Echo,), {"name": "other"}),
        Nameless=type("Nameless", (Flavor,), {**vars(Echo), "interface": 1, "name": None}),
        Listing=type("Listing", (Echo,), {"name": "broken", "loader_modules": "mlflow.echo"}),
        Optionless=type("Optionless", (Echo,), {"name": "broken", "options_type": dict}),
    )
    stateless = {key: value for key, value in vars(Echo).items() if key != "interface"}
    made.Stateless = type("Stateless", (Flavor,), {**stateless, "name": "broken"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugin_for_echo", made)
    return made


def table(**plug_ins: str) -> FlavorTable:
    return FlavorTable(
        BUILT_IN, [FlavorEntry(name, f"plugin_for_echo:{target}", f"{name}-dist") for name, target in plug_ins.items()]
    )


def test_a_plug_in_adds_a_flavor() -> None:
    made = table(echo="Echo")
    assert made.names == [ONNX, SKLEARN, PYFUNC, "echo"]
    assert isinstance(made.get("echo"), Echo)
    assert made.get("echo") is made.get("echo")
    package = manifest(echo={}, spark={})
    predictor = made.of_package(package).load(LoadContext(Path(), package))
    value = Value("hi")
    assert predictor.predict(value, {}) is value
    assert made.of_package(manifest(echo={}, sklearn={})).name == SKLEARN  # what is built in comes first
    assert made.of_package(manifest(echo={}, sklearn={}), "echo").name == "echo"


def test_names_are_listed_without_importing_a_flavor() -> None:
    made = table(gone="Missing", echo="Echo")
    assert made.names == [ONNX, SKLEARN, PYFUNC, "gone", "echo"]
    assert "loaded: none; failed: none" in repr(made)
    with pytest.raises(FlavorUnknown, match="no flavor 'tensorflow'") as caught:
        made.get("tensorflow")
    assert "onnx, sklearn, python_function, gone, echo" in caught.value.hint
    assert "loaded: none; failed: none" in repr(made)


def test_choosing_a_flavor_imports_no_more_than_that_one() -> None:
    script = """if True:
        import sys
        from penstock.flavors import choose_flavor, known_flavors
        from penstock.manifest import Manifest
        known_flavors()
        print(sorted(m for m in sys.modules if m.startswith(("penstock.flavors.onnx", "penstock.flavors.sklearn"))))
        for loader in ("mlflow.onnx", "mlflow.pyfunc.model"):
            name = loader.removeprefix("mlflow.") if loader == "mlflow.onnx" else "unknown"
            choose_flavor(Manifest({"flavors": {name: {}, "python_function": {"loader_module": loader}}}))
        print("penstock.flavors.onnx.flavor" in sys.modules, "penstock.flavors.python.flavor" in sys.modules)
        print("penstock.flavors.sklearn.flavor" in sys.modules, "sklearn" in sys.modules, "pandas" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True True", "False False False"]


def test_a_plug_in_answers_for_its_loader_modules() -> None:
    """A package that MLflow saved: python_function names the loader, beside the flavor's own section."""
    made = table(echo="Echo")
    package = manifest(python_function=pyfunc("mlflow.echo"), lightgbm={})
    assert made.of_package(package).name == "echo"
    assert made.of_package(package, "echo").name == "echo"  # by its loader module, though no section has its name
    assert made.of_package(package, PYFUNC).name == PYFUNC
    assert made.of_package(manifest(python_function=pyfunc("my_loader"), echo={})).name == PYFUNC


def test_a_plug_in_cannot_take_a_name_or_a_loader_module_of_a_built_in_flavor() -> None:
    made = table(sklearn="Echo", echo="Echo")
    assert made.get("sklearn").name == SKLEARN
    assert made.names == [ONNX, SKLEARN, PYFUNC, "echo"]
    assert made.of_package(manifest(python_function=pyfunc("mlflow.sklearn"), echo={})).name == SKLEARN
    assert made.of_package(manifest(python_function=pyfunc("mlflow.pyfunc.model"), echo={})).name == PYFUNC


def test_two_plug_ins_for_one_loader_module_are_both_named() -> None:
    made = table(echo="Echo", shout="Shout")
    package = manifest(python_function=pyfunc("mlflow.echo"), echo={})
    with pytest.raises(FlavorConflict, match=r"mlflow\.echo.*'echo' of echo-dist.*'shout' of shout-dist"):
        made.of_package(package)
    assert made.of_package(package, "shout").name == "shout"
    assert made.of_package(manifest(python_function=pyfunc("mlflow.sklearn"))).name == SKLEARN


def test_two_distributions_with_one_flavor_name_are_both_named() -> None:
    twice = [FlavorEntry("echo", "plugin_for_echo:Echo", "one"), FlavorEntry("echo", "plugin_for_echo:Shout", "two")]
    made = FlavorTable(BUILT_IN, twice)
    for _ in range(2):
        with pytest.raises(FlavorConflict, match=r"'echo' of one .*'echo' of two"):
            made.of_package(manifest(python_function=pyfunc("mlflow.echo"), echo={}))
    same = FlavorTable(BUILT_IN, [twice[0], FlavorEntry("echo", "plugin_for_echo:Echo", "again")])
    assert same.get("echo").name == "echo"  # found twice on the path, but one thing


def test_objects_are_shown_to_plug_ins_first() -> None:
    assert table().of_object(Estimator()).name == SKLEARN
    assert table(echo="Echo").of_object(Estimator()).name == "echo"
    assert table(echo="Echo").of_object(Estimator(), "sklearn").name == SKLEARN
    assert table(echo="Echo").of_object(b"graph").name == ONNX
    with pytest.raises(FlavorConflict, match=r"package a .*Estimator: 'echo' of echo-dist .*'shout' of shout-dist"):
        table(echo="Echo", shout="Shout").of_object(Estimator())
    with pytest.raises(PackagingFailed, match=r"'onnx' does not package a .*Estimator"):
        table().of_object(Estimator(), "onnx")
    with pytest.raises(FlavorUnknown, match="no flavor 'tensorflow'"):
        table().of_object(Estimator(), "tensorflow")


def test_a_plug_in_that_fails_on_an_object_declines_it(caplog: pytest.LogCaptureFixture) -> None:
    assert table(explodes="Explodes").of_object(Estimator()).name == SKLEARN
    (record,) = caplog.records
    assert "'explodes' failed on a" in record.getMessage()
    assert "ZeroDivisionError" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("no_such_module_anywhere:Echo", "ModuleNotFoundError"),
        ("plugin_for_echo:Missing", "AttributeError"),
        ("plugin_for_echo", "AttributeError|TypeError"),
        ("plugin_for_echo:NoFlavor", "gives no Flavor"),
        ("plugin_for_echo:Unfinished", "TypeError.*abstract.*artifact"),
        ("plugin_for_echo:Stateless", "does not state its interface; this release of Penstock has interface 1"),
        ("plugin_for_echo:Old", "is written for interface 0; this release of Penstock has interface 1"),
        ("plugin_for_echo:Misnamed", "gives a flavor of another name, 'other'"),
        ("plugin_for_echo:Nameless", "gives a flavor of another name, None"),
        ("plugin_for_echo:Listing", "loader_modules that are no frozenset"),
        ("plugin_for_echo:Optionless", "options_type that is no FlavorOptions"),
    ],
)
def test_a_broken_plug_in_is_named_where_it_is_needed_and_harms_nothing_else(
    target: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = FlavorTable(BUILT_IN, [FlavorEntry("broken", target, "broken-dist")])
    for _ in range(2):
        with pytest.raises(FlavorUnknown, match=f"'broken' of broken-dist .*({why})") as caught:
            made.of_package(manifest(broken={}))
        assert "broken-dist" in caught.value.hint
    with pytest.raises(FlavorUnknown, match="'broken' of broken-dist"):
        made.of_package(manifest(broken={}, python_function=pyfunc("mlflow.broken")))
    assert made.of_package(manifest(sklearn={})).name == SKLEARN
    assert made.of_package(manifest(python_function=pyfunc("my_loader"))).name == PYFUNC
    assert made.of_object(Estimator()).name == SKLEARN
    with pytest.raises(PackagingFailed, match=r"no flavor for a builtins.object") as refused:
        made.of_object(object())
    assert "'broken' of broken-dist" in refused.value.hint
    assert not caplog.records  # an error told of it


def test_a_broken_plug_in_is_logged_once_where_it_is_not_needed(caplog: pytest.LogCaptureFixture) -> None:
    made = table(gone="Missing", echo="Echo")
    for _ in range(3):
        assert made.of_package(manifest(python_function=pyfunc("mlflow.echo"))).name == "echo"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "'gone' of gone-dist (plugin_for_echo:Missing) cannot be loaded" in record.getMessage()


def test_a_flavor_may_load_alone() -> None:
    flavor = table(echo="Echo").get("echo")
    with pytest.raises(PackagingFailed, match="'echo' loads packages and writes none"):
        flavor.write(Estimator(), Path(), FlavorOptions())
    with pytest.raises(PackagingFailed, match="'echo' has no data-only form"):
        flavor.convert(flavor.load(LoadContext(Path(), manifest())), Path(), manifest())
    assert flavor.read(Path("model.echo")) == Path("model.echo")
    assert repr(flavor) == "<Echo echo: mlflow.echo, mlflow.sklearn>"
