"""Packages in the layouts of older MLflow releases, written out by hand as those releases wrote them."""

from __future__ import annotations

import json
import pickle
import platform
import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock.flavors.code_path import lent_code
from penstock.flavors.python.mlflow_stubs import mlflow_installed
from penstock.loading import LoadOptions, load_path
from penstock.manifest import Manifest
from penstock.package import PackagedModel
from penstock.signature import Scalar, conform, conform_params
from penstock.signature.schema import Field
from penstock.wire.mlflow.answers import answer_value
from penstock.wire.mlflow.invocations import decode_json

RECORDED = Path(__file__).parents[1] / "mlflow_packages"
COLUMNS = '[{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]'
ROWS = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0], [3.0, 4.0]]}}

without_mlflow = pytest.mark.skipif(mlflow_installed(), reason="MLflow is installed and loads its packages itself")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package"
    path.mkdir()
    return path


def write(package: Path, manifest: str) -> None:
    (package / "MLmodel").write_text(manifest)


def answer(package: Path, body: dict[str, Any]) -> Any:
    """What the server would say, through the signature."""
    with lent_code(package):
        loaded = load_path(package, LoadOptions(trust_code=True))
        signature = loaded.signature
        decoded = decode_json(json.dumps(body).encode(), signature)
        conformed = conform(decoded.payload, signature.enforced if signature else None, decoded.casting)
        assert not conformed.violations
        params = conform_params(signature.params if signature else (), decoded.params)
        return answer_value(loaded.predictor.predict(conformed.payload, params))


def pickled_sum(package: Path, name: str) -> None:
    """An estimator whose prediction is a + 2 b, pickled as the standard library does."""
    import numpy as np
    from sklearn.linear_model import LinearRegression

    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 5.0]])
    (package / name).write_bytes(pickle.dumps(LinearRegression().fit(rows, rows @ [1.0, 2.0])))


SKLEARN = {
    "1.0: data": """
artifact_path: model
flavors:
  python_function:
    data: model.pkl
    env: conda.yaml
    loader_module: mlflow.sklearn
    python_version: 3.7.3
  sklearn:
    pickled_model: model.pkl
    sklearn_version: 0.20.3
run_id: 6f3ae8d8a5d34d8ba0b0ed9b5e4e5bb1
utc_time_created: 2019-10-02 17:40:12.083120
""",
    "1.30: model_path, no predict_fn": f"""
artifact_path: model
flavors:
  python_function:
    env: conda.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.8.10
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.1.2
mlflow_version: 1.30.0
model_uuid: 0b1c2d3e4f5061728394a5b6c7d8e9f0
signature:
  inputs: '{COLUMNS}'
  outputs: '[{{"type": "tensor", "tensor-spec": {{"dtype": "float64", "shape": [-1]}}}}]'
utc_time_created: '2022-11-01 08:00:00.000000'
""",
    "no python_function flavor": """
flavors:
  sklearn:
    pickled_model: model.pkl
    sklearn_version: 0.19.1
utc_time_created: '2018-06-20 12:00:00.000000'
""",
    "no sklearn flavor": """
flavors:
  python_function:
    loader_module: mlflow.sklearn
    data: model.pkl
""",
}


@pytest.mark.parametrize("manifest", SKLEARN.values(), ids=SKLEARN)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_packages_of_old_answer(package: Path, manifest: str) -> None:
    write(package, manifest)
    pickled_sum(package, "model.pkl")
    assert answer(package, ROWS) == pytest.approx([5.0, 11.0])
    assert [reason.file for reason in PackagedModel.open(package).code_reasons()] == ["model.pkl"]


def test_what_clients_of_2_x_leave_behind_does_no_harm(package: Path) -> None:
    write(package, SKLEARN["no sklearn flavor"])
    pickled_sum(package, "model.pkl")
    (package / "registered_model_meta").write_text("model_name: m\nmodel_version: '3'\n")
    (package / "conda.yaml").write_text("name: mlflow-env\n")
    assert answer(package, ROWS) == pytest.approx([5.0, 11.0])


def test_a_moment_without_quotes_survives(package: Path) -> None:
    write(package, SKLEARN["1.0: data"])
    manifest = Manifest.read(package)
    assert Manifest.parse(manifest.dump()).content == manifest.content


ONNX = {
    "1.x": "",
    "providers as text": "    providers: CPUExecutionProvider\n",
    "no providers": "    providers: null\n    onnx_session_options: null\n",
}


@pytest.mark.parametrize("more", ONNX.values(), ids=ONNX)
def test_onnx_packages_of_old_answer(package: Path, identity_onnx_package: Path, more: str) -> None:
    shutil.copy(identity_onnx_package / "model.onnx", package)
    write(
        package,
        "flavors:\n  onnx:\n    data: model.onnx\n    onnx_version: 1.7.0\n"
        + more
        + "  python_function:\n    data: model.onnx\n    env: conda.yaml\n    loader_module: mlflow.onnx\n"
        "    python_version: 3.7.3\n",
    )
    assert answer(package, {"inputs": [[1.5, 2.0, 3.0]]}) == {"y": [[1.5, 2.0, 3.0]]}


LOADER = """
class Model:
    def predict(self, rows):
        return [float(v) * 2 for v in rows["a"]]


def _load_pyfunc(path):
    assert path.endswith("data.bin"), path
    return Model()
"""


def test_a_loader_module_of_old_is_imported_from_the_package(package: Path) -> None:
    (package / "code").mkdir()
    (package / "code" / "loader_of_old.py").write_text(LOADER)
    (package / "data").mkdir()
    (package / "data" / "data.bin").write_bytes(b"")
    write(
        package,
        f"""
flavors:
  python_function:
    code: code
    data: data/data.bin
    env: conda.yaml
    loader_module: loader_of_old
    python_version: 3.6.8
mlflow_version: 1.12.1
signature:
  inputs: '{COLUMNS}'
  outputs: null
utc_time_created: '2020-12-01 00:00:00.000000'
""",
    )
    assert answer(package, ROWS) == [2.0, 6.0]


def python_model(package: Path, recorded: str, more: str = "", signature: str = "") -> None:
    """A pickle that MLflow made, under a manifest of the 1.x kind: no code, no versions, env as plain text."""
    settings = Manifest.read(RECORDED / recorded).python_function or {}
    if str(settings["python_version"]).split(".")[:2] != platform.python_version().split(".")[:2]:
        pytest.skip("code pickled by value loads on the minor version of Python that pickled it")
    shutil.copy(RECORDED / recorded / "python_model.pkl", package)
    write(
        package,
        "flavors:\n  python_function:\n    env: conda.yaml\n    loader_module: mlflow.pyfunc.model\n"
        f"    python_model: python_model.pkl\n{more}{signature}",
    )


@without_mlflow
def test_a_python_model_of_old_answers(package: Path) -> None:
    python_model(package, "old_layout", "    artifacts: {}\n", f"signature:\n  inputs: '{COLUMNS}'\n  outputs: null\n")
    assert answer(package, ROWS) == [{"sum": 4.0}, {"sum": 8.0}]


@without_mlflow
@pytest.mark.parametrize("key", ["type", "dtype"])
def test_params_with_the_key_of_release_2_6_are_read(package: Path, key: str) -> None:
    """It wrote `dtype` where later releases write `type`."""
    spec = json.dumps([{"name": "offset", key: "double", "default": 0.5, "shape": None}])
    python_model(package, "params", signature=f"signature:\n  inputs: '{COLUMNS}'\n  params: '{spec}'\n")
    assert answer(package, ROWS)["params"] == {"offset": 0.5}
    assert answer(package, {**ROWS, "params": {"offset": 2}})["params"] == {"offset": 2.0}


@without_mlflow
def test_a_function_hinted_before_2_20_gets_its_list_from_a_table(package: Path) -> None:
    """Its signature is a column without a name, and nothing says that it comes from a hint."""
    python_model(package, "text", signature='signature:\n  inputs: \'[{"type": "string"}]\'\n  outputs: null\n')
    assert answer(package, {"inputs": ["a", "b"]}) == ["A", "B"]
    assert answer(package, {"dataframe_records": [{"0": "a"}]}) == ["A"]


@pytest.mark.parametrize(
    ("spec", "required"),
    [
        ({"type": "double", "name": "a"}, True),  # up to 2.5
        ({"type": "double", "name": "a", "optional": True}, False),  # 2.6 to 2.9
        ({"type": "double", "name": "a", "optional": False}, True),
        ({"type": "double", "name": "a", "required": False}, False),  # since 2.10
        ({"type": "double", "name": "a", "required": True, "optional": True}, True),
    ],
)
def test_a_column_is_required_or_not_by_the_key_of_its_release(
    package: Path, spec: dict[str, Any], required: bool
) -> None:
    text = json.dumps([spec, {"type": "double", "name": "b"}])
    write(package, SKLEARN["no sklearn flavor"] + f"signature:\n  inputs: '{text}'\n")
    signature = PackagedModel.open(package).manifest.signature
    assert signature is not None
    assert signature.inputs == (Field("a", Scalar.DOUBLE, required), Field("b", Scalar.DOUBLE))


def test_a_model_whose_signature_says_nothing_answers(package: Path) -> None:
    write(package, SKLEARN["no sklearn flavor"] + "signature:\n  inputs: null\n  outputs: null\n")
    pickled_sum(package, "model.pkl")
    assert answer(package, {"inputs": [[1.0, 2.0]]}) == pytest.approx([5.0])
