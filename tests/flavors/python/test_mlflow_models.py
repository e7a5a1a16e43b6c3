"""Packages that MLflow saved, answered without MLflow as MLflow's own server answered them."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.errors import (
    ArtifactInvalid,
    CodeConflict,
    CodeNotTrusted,
    DependencyMissing,
    PackageInvalid,
    PenstockError,
    PredictError,
    SchemaViolation,
)
from penstock.flavors import LoadContext, Predictor, get_flavor
from penstock.flavors.code_path import lent_code
from penstock.flavors.python import mlflow_models
from penstock.flavors.python.mlflow_stubs import mlflow_installed
from penstock.manifest import Manifest
from penstock.package import PackagedModel
from penstock.payload import Params, Payload, Value
from penstock.signature import conform, conform_params
from penstock.wire.mlflow.answers import encode_answer
from penstock.wire.mlflow.error_codes import error_code_of
from penstock.wire.mlflow.invocations import decode_json

PACKAGES = Path(__file__).parents[1] / "mlflow_packages"
NAMES = sorted(path.stem for path in PACKAGES.glob("*.json"))
FROM_CODE = ("from_code_class", "from_code_function")

# Text that is no date or no base64 is the caller's mistake; MLflow answers 500 to it.
BETTER_THAN_MLFLOW = {("moments", '["soon"]'), ("binary", '["YWJ"]')}

pytestmark = pytest.mark.skipif(mlflow_installed(), reason="MLflow is installed and loads its packages itself")


@pytest.fixture(autouse=True)
def nothing_left() -> Any:
    """No stand-in outlives a load, whether it succeeds or fails."""
    with lent_code(PACKAGES):
        yield
    assert not [name for name in sys.modules if name.partition(".")[0] == "mlflow"]


def needs_its_python(name: str) -> Path:
    """The package, or a skip where its pickle holds code of another Python."""
    package = PACKAGES / name
    made = str((Manifest.read(package).python_function or {})["python_version"])
    if name not in FROM_CODE and made.split(".")[:2] != platform.python_version().split(".")[:2]:
        pytest.skip(f"pickled by Python {made}; code pickled by value loads on that minor version alone")
    return package


def load(package: Path, **config: Any) -> Predictor:
    opened = PackagedModel.open(package)
    context = LoadContext(package, opened.manifest, opened.digest, trusted=True, config=config)
    return get_flavor("python_function").load(context)


def cases() -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{number}")
        for name in NAMES
        for number, case in enumerate(json.loads((PACKAGES / f"{name}.json").read_text()))
    ]


def read(manifest: Manifest, body: dict[str, Any]) -> tuple[Payload, Params]:
    """The request as the server hands it to the model; inputs of a type-hinted model are left alone."""
    signature = manifest.signature
    if manifest.content.get("is_signature_from_type_hint"):
        return Value(body["inputs"]), {}
    decoded = decode_json(json.dumps(body).encode(), signature)
    conformed = conform(decoded.payload, signature.inputs if signature else None, decoded.casting)
    if conformed.violations:
        raise SchemaViolation(conformed.violations)
    return conformed.payload, conform_params(signature.params if signature else (), decoded.params)


def answer(predictor: Predictor, manifest: Manifest, body: dict[str, Any]) -> Any:
    payload, params = read(manifest, body)
    encoded = json.loads(encode_answer(predictor.predict(payload, params)))
    return encoded["predictions"] if "messages" in body or "input" in body else encoded


def error_code(error: PenstockError) -> str:
    if isinstance(error, SchemaViolation):
        assert not any(violation.at_parse for violation in error.violations), error
        return "INVALID_PARAMETER_VALUE"
    return error_code_of(error.__cause__) or "BAD_REQUEST"


@pytest.mark.parametrize(("name", "case"), cases())
def test_the_answer_is_mlflows(name: str, case: dict[str, Any]) -> None:
    package = needs_its_python(name)
    manifest = Manifest.read(package)
    predictor = load(package)
    if manifest.content.get("is_signature_from_type_hint") and "inputs" not in case["body"]:
        assert case["status"] == 400  # the wire's to refuse
    elif "answer" in case:
        assert answer(predictor, manifest, case["body"]) == case["answer"]
    else:
        with pytest.raises(PenstockError) as refused:
            answer(predictor, manifest, case["body"])
        assert isinstance(refused.value, (SchemaViolation, PredictError))
        better = (name, json.dumps(case["body"].get("inputs"))) in BETTER_THAN_MLFLOW
        assert error_code(refused.value) == ("INVALID_PARAMETER_VALUE" if better else case["error_code"])


def test_every_case_that_is_better_than_mlflow_is_recorded() -> None:
    recorded = {
        (name, json.dumps(case["body"].get("inputs")))
        for name in NAMES
        for case in json.loads((PACKAGES / f"{name}.json").read_text())
        if case["status"] == 500 and name not in ("raises", "chat_model", "chat_agent")
    }
    assert recorded == BETTER_THAN_MLFLOW


def test_a_refusal_names_rows_and_fields() -> None:
    people = load(needs_its_python("people"))
    with pytest.raises(SchemaViolation) as refused:
        people.predict(Value([{"name": "Ada"}, {"name": "Bo", "place": {"city": 1}}, {}]), {})
    assert [violation.row for violation in refused.value.violations] == [1, 2]
    assert "place.city: Input should be a valid string, not 1" in str(refused.value)
    assert "row 2: name is missing" in str(refused.value)


def test_settings_given_at_load_override_the_packages() -> None:
    package = needs_its_python("everything")
    body = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 0.0]]}}
    answered = answer(load(package, scale=10.0), Manifest.read(package), body)["predictions"]
    assert answered["total"] == 10.5
    assert answered["config"] == {"scale": 10.0, "unit": "bar"}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_loads_without_trust(name: str) -> None:
    manifest = Manifest.read(PACKAGES / name)
    with pytest.raises(CodeNotTrusted):
        get_flavor("python_function").load(LoadContext(PACKAGES / name, manifest))


@pytest.mark.parametrize("loader", ["mlflow.lightgbm", "mlflow.statsmodels", "mlflow.pyfunc.loaders.unheard_of"])
def test_other_loaders_of_mlflow_name_what_to_install(tmp_path: Path, loader: str) -> None:
    with pytest.raises(DependencyMissing, match=rf"loaded by '{loader}'.*MLflow is not installed.*pip install mlflow"):
        load(changed(tmp_path, "function", loader_module=loader))


def test_modules_of_two_packages_are_kept_apart(tmp_path: Path) -> None:
    package = needs_its_python("everything")
    other = Path(shutil.copytree(package, tmp_path / "other"))
    (other / "code" / "made_by_mlflow_helper.py").write_text("def joined(words): return 'other'\n")
    load(package)
    with pytest.raises(CodeConflict, match="made_by_mlflow_helper"):
        load(other)


def changed(tmp_path: Path, name: str, **settings: Any) -> Path:
    """A copy of a package with other settings in its python_function flavor."""
    package = Path(shutil.copytree(PACKAGES / name, tmp_path / name))
    manifest = yaml.safe_load((package / "MLmodel").read_text())
    manifest["flavors"]["python_function"] |= settings
    (package / "MLmodel").write_text(yaml.safe_dump(manifest))
    return package


def test_code_of_another_python_is_refused(tmp_path: Path) -> None:
    """It would load, and could end the process when it runs."""
    needs_its_python("function")
    with pytest.raises(ArtifactInvalid, match=r"Python 3\.2\.1 compiled.*Serve it with Python 3\.2,"):
        load(changed(tmp_path, "function", python_version="3.2.1"))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"python_model": None}, "names no pickled Python model"),
        ({"python_model": "../elsewhere.pkl"}, "outside the package"),
        ({"python_model_compression": "zip"}, "compressed as 'zip'"),
        ({"artifacts": {"x": {"path": "gone"}}}, "artifact 'x'"),
        ({"artifacts": ["x"]}, "not a mapping"),
        ({"code": "gone"}, "code directory"),
    ],
)
def test_a_manifest_that_names_something_wrong_is_refused(tmp_path: Path, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(PackageInvalid, match=why):
        load(changed(tmp_path, "function", **settings))


@pytest.mark.parametrize("compression", [None, "gzip", "bzip2", "lzma"])
def test_a_damaged_pickle_is_named(tmp_path: Path, compression: str | None) -> None:
    package = changed(tmp_path, "function", python_model_compression=compression)
    (package / "python_model.pkl").write_bytes(b"nonsense")
    with pytest.raises(ArtifactInvalid, match=r"python_model\.pkl is damaged"):
        load(package)


def from_code(tmp_path: Path, source: str, **settings: Any) -> Path:
    """A model from code with this source."""
    package = changed(tmp_path, "from_code_class", **settings)
    (package / "code_class.py").write_text(source)
    return package


def test_the_path_of_the_code_may_be_of_any_system(tmp_path: Path) -> None:
    load(changed(tmp_path, "from_code_class", model_code_path=r"C:\Users\me\code_class.py"))


def test_code_that_sets_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match=r"does not call mlflow\.models\.set_model"):
        load(from_code(tmp_path, "import mlflow\n"))


def test_code_that_reads_missing_settings_is_refused(tmp_path: Path) -> None:
    source = "from mlflow.models import ModelConfig\nModelConfig(development_config={'a': 1})\n"
    with pytest.raises(ArtifactInvalid, match="has no model_config"):
        load(from_code(tmp_path, source, config=None))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from mlflow.types.llm import NeverHeardOf", "mlflow.types.llm.NeverHeardOf"),
        ("from mlflow.types.agent import BaseModel", "mlflow.types.agent.BaseModel"),
        ("from mlflow.pyfunc import load_model", "mlflow.pyfunc.load_model"),
        ("import mlflow\nmlflow.langchain.load_model('x')", "mlflow.langchain.load_model"),
        ("import mlflow\nmlflow.spark.autolog()", "mlflow.spark"),
        ("import mlflow.tracking", "mlflow.tracking"),
    ],
)
def test_code_that_needs_more_of_mlflow_names_what_is_missing(tmp_path: Path, source: str, name: str) -> None:
    with pytest.raises(DependencyMissing, match=rf"uses {name}, which needs MLflow"):
        load(from_code(tmp_path, source))


def test_code_may_ask_first_whether_mlflow_has_something(tmp_path: Path) -> None:
    source = """
import mlflow

assert not hasattr(mlflow, "spark")
try:
    from mlflow.entities import Dataset
except ImportError:
    Dataset = None
mlflow.openai.autolog()
mlflow.set_experiment("pumps")
with mlflow.start_span("a block", span_type="TOOL") as span:
    span.set_outputs([mlflow.entities.Document("text", id="1").to_dict()])

class Model:
    def predict(self, model_input):
        import mlflow
        return 1

class Late(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        import mlflow.tracking

mlflow.models.set_model(Late())
"""
    with pytest.raises(PredictError, match=r"No module named 'mlflow\.tracking'"):
        load(from_code(tmp_path, source)).predict(Value(1), {})


LATE = """
def refuse(message):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    raise MlflowException(message, error_code=RESOURCE_DOES_NOT_EXIST)
"""


def test_code_may_import_mlflow_when_it_predicts(tmp_path: Path) -> None:
    source = f"{LATE}\nimport mlflow\nmlflow.models.set_model(lambda model_input: refuse(model_input))\n"
    model = load(from_code(tmp_path, source))
    with pytest.raises(PredictError, match="no pump") as failed:
        model.predict(Value("no pump"), {})
    assert error_code_of(failed.value.__cause__) == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(ModuleNotFoundError):  # nobody else sees it
        import mlflow  # noqa: F401


def test_modules_of_a_package_may_import_mlflow_when_they_are_used(tmp_path: Path) -> None:
    source = "import mlflow\n\ndef model(model_input):\n    import late_one\n\n    late_one.refuse('gone')\n"
    package = from_code(tmp_path, source + "\nmlflow.models.set_model(model)\n", code="code")
    (package / "code").mkdir()
    (package / "code" / "late_one.py").write_text(LATE)
    with lent_code(package):
        model = load(package)
        with pytest.raises(PredictError, match="gone") as failed:
            model.predict(Value(1), {})
        assert error_code_of(failed.value.__cause__) == "RESOURCE_DOES_NOT_EXIST"
    assert "late_one" not in sys.modules


def test_pickled_functions_may_import_mlflow_when_they_are_called(tmp_path: Path) -> None:
    import cloudpickle

    package = changed(tmp_path, "function", python_version=platform.python_version())
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(f"{LATE}\nclass Model:\n    def predict(self, model_input):\n        refuse('gone')\n", namespace)
    (package / "python_model.pkl").write_bytes(cloudpickle.dumps(namespace["Model"]()))
    with pytest.raises(PredictError, match="gone") as failed:
        load(package).predict(Value(1), {})
    assert error_code_of(failed.value.__cause__) == "RESOURCE_DOES_NOT_EXIST"


def test_code_that_fails_while_loading_is_an_invalid_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="ZeroDivisionError"):
        load(from_code(tmp_path, "1 / 0"))


def test_many_threads_may_load_at_once() -> None:
    """Each gets its own model and settings, and all are rid of the stand-ins in the end."""
    body = {"dataframe_split": {"columns": ["a", "b"], "data": [[2.0, 1.0]]}}
    manifest = Manifest.read(PACKAGES / "from_code_class")
    start = threading.Barrier(8)
    found: dict[int, Any] = {}

    def work(factor: int) -> None:
        start.wait()
        for _ in range(5):
            found[factor] = answer(load(PACKAGES / "from_code_class", factor=factor), manifest, body)["predictions"]

    threads = [threading.Thread(target=work, args=(factor,)) for factor in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {factor: [2.0 * factor * factor] for factor in range(1, 9)}


def test_artifacts_and_pickles_that_were_logged_on_windows_are_found(tmp_path: Path) -> None:
    artifacts = {"w": {"path": r"artifacts\thing.txt", "uri": r"C:\work\thing.txt"}, "d": {"path": r"artifacts\Up\sub"}}
    package = changed(tmp_path, "function", artifacts=artifacts, python_model=r".\python_model.pkl")
    (package / "artifacts" / "Up" / "sub").mkdir(parents=True)
    (package / "artifacts" / "thing.txt").write_text("thing")
    load(package)
    found = mlflow_models._artifacts(package, {"artifacts": artifacts})
    assert found == {"w": str(package / "artifacts/thing.txt"), "d": str(package / "artifacts/Up/sub")}


@pytest.mark.parametrize("path", [r"C:\work\words.txt", r"..\words.txt", r"\\server\words.txt"])
def test_a_place_on_the_disk_of_another_machine_is_no_artifact(tmp_path: Path, path: str) -> None:
    with pytest.raises(PackageInvalid, match="lies outside the package"):
        load(changed(tmp_path, "everything", artifacts={"words": {"path": path}}))


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '"\\xff"'])
def test_a_broken_example_that_says_the_models_types_is_the_packages_fault(tmp_path: Path, content: str) -> None:
    package = shutil.copytree(needs_its_python("example_dicts"), tmp_path / "package")
    (package / "input_example.json").write_text(content)
    with pytest.raises(PackageInvalid, match=r"input_example\.json, which is not JSON"):
        load(package)


def test_the_types_of_an_example_with_words_are_read(tmp_path: Path) -> None:
    package = shutil.copytree(needs_its_python("example_dicts"), tmp_path / "package")
    (package / "input_example.json").write_text('[{"a": NaN, "b": -Infinity}]')
    load(package).close()
