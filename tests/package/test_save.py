"""Packages of every flavor: what they hold, that they answer, and that a failure leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from package.packaging import FUNCTION, files, nothing_left, proven, source
from penstock.errors import PackageExists, PackagingFailed
from penstock.package.save import save_model
from penstock.payload import Table, Tensors, Value
from penstock.signature import Field, Scalar, Signature, TensorField

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 1.0]])
Y = np.array([0, 1, 0, 1])
FRAME = pd.DataFrame(X, columns=["a", "b"])


def shouting(values: Any) -> Any:
    return values


# scikit-learn


def test_an_estimator_becomes_a_data_only_package(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(FRAME, Y)
    package = save_model(estimator, tmp_path / "m", example=FRAME, metadata={"team": "blue"})
    assert package.path == tmp_path / "m"
    assert files(package) == {
        "MLmodel",
        "SHA256SUMS",
        "conda.yaml",
        "expected_output.json",
        "input_example.json",
        "model.skops",
        "python_env.yaml",
        "requirements.txt",
        "serving_input_example.json",
    }
    assert package.code_reasons() == []
    manifest = package.manifest
    assert manifest.flavors["sklearn"]["serialization_format"] == "skops"
    assert manifest.flavors["python_function"]["loader_module"] == "mlflow.sklearn"
    assert manifest.flavors["python_function"]["env"] == {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    assert manifest.metadata["team"] == "blue"
    assert manifest.batchable
    assert manifest.deterministic
    assert manifest.signature == Signature(
        (Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE)), (TensorField(None, np.dtype("int64"), (-1,)),)
    )
    assert proven(package) == estimator.predict(FRAME).tolist()
    pins = (package.path / "requirements.txt").read_text()
    assert "scikit-learn==" in pins
    assert "skops==" in pins


def test_the_manifest_has_the_size_and_others_may_read_the_package(tmp_path: Path) -> None:
    package = save_model(LinearRegression().fit(X, Y), tmp_path / "m", example=X)
    recorded = package.manifest.content["model_size_bytes"]
    written_after = sum((package.path / name).stat().st_size for name in ("MLmodel",))
    assert package.size_bytes == recorded + written_after
    assert package.path.stat().st_mode & 0o777 == 0o755


def test_a_forest_is_data_only_too(tmp_path: Path) -> None:
    package = save_model(RandomForestClassifier(5, random_state=0).fit(X, Y), tmp_path / "m", example=X)
    assert package.manifest.flavors["sklearn"]["skops_trusted_types"]
    assert package.code_reasons() == []
    package.load()


def test_auto_falls_back_to_a_pickle_where_types_are_unknown(tmp_path: Path) -> None:
    estimator = make_pipeline(FunctionTransformer(shouting), LinearRegression()).fit(X, Y)
    package = save_model(estimator, tmp_path / "m", example=X)
    assert package.manifest.flavors["sklearn"]["serialization_format"] == "cloudpickle"
    assert "model.skops" not in files(package)
    assert [str(r) for r in package.code_reasons()] == ["model.pkl is a pickle"]


@pytest.mark.parametrize(("serialization", "file"), [("skops", "model.skops"), ("cloudpickle", "model.pkl")])
def test_the_serialization_may_be_chosen(tmp_path: Path, serialization: str, file: str) -> None:
    package = save_model(LinearRegression().fit(X, Y), tmp_path / "m", example=X, serialization=serialization)
    assert file in files(package)
    proven(package)


def test_predict_fn_names_the_method_that_answers(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(X, Y)
    package = save_model(estimator, tmp_path / "m", example=X, predict_fn="predict_proba")
    assert np.allclose([[row["0"], row["1"]] for row in proven(package)], estimator.predict_proba(X))


def test_only_twenty_rows_of_the_example_are_kept(tmp_path: Path) -> None:
    package = save_model(LinearRegression().fit(X, Y), tmp_path / "m", example=np.tile(X, (50, 1)))
    example = package.example()
    assert example is not None
    assert example.payload.rows == 20


@pytest.mark.parametrize(
    "how",
    [
        {"serialization": "marshal"},
        {"serialization": "pickle"},
        {"predict_fn": "transform"},
        {"predict_fn": "fit"},
        {"predict_fn": "predict_proba"},
        {"code": ["x.py"]},
        {"artifacts": {"a": "b"}},
        {"config": {"a": 1}},
        {"entry": "predict"},
    ],
    ids=str,
)
def test_what_an_estimator_cannot_have_is_refused(tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises(PackagingFailed):
        save_model(LinearRegression().fit(X, Y), tmp_path / "m", example=X, **how)
    assert nothing_left(tmp_path)


# what is common to all


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        (FRAME, Table),
        (X, Tensors),
        ({"a": X}, Tensors),
        (pd.Series([1.0, 2.0], name="a"), Table),
        (Table(("a",), block=X[:, :1]), Table),
        (Tensors.single(X), Tensors),
        ([1.0, 2.0], Table),  # one unnamed column, as a caller's bare list is
        ([[1.0, 2.0], [3.0]], Table),
    ],
)
def test_examples_of_many_kinds_are_kept_as_their_payload(tmp_path: Path, example: Any, kind: type) -> None:
    model = source(tmp_path, "def predict(inputs):\n    return type(inputs).__name__\n")
    package = save_model(model, tmp_path / "m", example=example)
    recorded = package.example()
    assert recorded is not None
    assert isinstance(recorded.payload, kind)
    assert proven(package) == ("DataFrame" if kind is Table else "dict" if isinstance(example, dict) else "ndarray")


def test_a_chat_shaped_example_is_kept_as_it_is_sent(tmp_path: Path) -> None:
    text = "def predict(inputs, params):\n    return {'echo': inputs['messages'][-1]['content'], 't': params['t']}\n"
    example = {"messages": [{"role": "user", "content": "hi"}]}
    package = save_model(source(tmp_path, text), tmp_path / "m", example=example, params={"t": 0.5})
    recorded = package.example()
    assert recorded is not None
    assert isinstance(recorded.payload, Value)
    assert json.loads(recorded.body) == {**example, "t": 0.5}
    assert proven(package) == {"echo": "hi", "t": 0.5}


@pytest.mark.parametrize("example", [5, "text", True, FRAME.iloc[:0], np.array(3.0), {"a": X, "b": X[:1]}])
def test_examples_without_rows_are_refused(tmp_path: Path, example: Any) -> None:
    with pytest.raises(PackagingFailed, match="example"):
        save_model(source(tmp_path, FUNCTION), tmp_path / "m", example=example)


def test_a_given_signature_is_kept_and_the_example_must_fit_it(tmp_path: Path) -> None:
    estimator = LinearRegression().fit(X, Y)
    signature = Signature((TensorField(None, np.dtype("float32"), (-1, 2)),))
    package = save_model(estimator, tmp_path / "m", example=X, signature=signature)
    assert package.manifest.signature == signature
    proven(package)
    wrong = Signature((Field("a", Scalar.DOUBLE), Field("c", Scalar.DOUBLE)))
    with pytest.raises(PackagingFailed, match="missing columns: 'c'"):
        save_model(estimator, tmp_path / "n", example=FRAME, signature=wrong)
    with pytest.raises(PackagingFailed, match="param"):
        save_model(
            source(tmp_path, FUNCTION),
            tmp_path / "n",
            example=FRAME,
            params={"t": "hot"},
            signature=Signature(None, None, package.manifest.signature.params or _param()),
        )
    alone = save_model(estimator, tmp_path / "o", signature=signature)
    assert alone.manifest.signature == signature
    assert alone.example() is None


def _param() -> Any:
    from penstock.signature import Param

    return (Param("t", Scalar.DOUBLE, 0.5),)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_a_place_that_is_taken_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "m")
    with pytest.raises(PackageExists):
        save_model(LinearRegression().fit(X, Y), tmp_path / "m", example=X)
    assert nothing_left(tmp_path, but={"m"})


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PackagingFailed, match="Nothing can be written"):
        save_model(LinearRegression().fit(X, Y), tmp_path / "file" / "m", example=X)


@pytest.mark.parametrize("model", [None, 5, "no/such/file.onnx", LinearRegression, lambda x: x, object()])
def test_what_is_no_model_is_refused(tmp_path: Path, model: Any) -> None:
    with pytest.raises(PackagingFailed):
        save_model(model, tmp_path / "m", example=X)
    assert nothing_left(tmp_path)


def test_a_file_with_an_estimator_in_it_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"")
    with pytest.raises(
        PackagingFailed, match=r"There is no flavor for the file .* Load what is in the file: joblib\.load\("
    ):
        save_model(tmp_path / "model.joblib", tmp_path / "m", example=X)


def test_an_estimator_that_cannot_answer_the_example_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match="NotFitted"):
        save_model(LinearRegression(), tmp_path / "m", example=X)
    with pytest.raises(PackagingFailed, match="features"):
        save_model(LinearRegression().fit(X, Y), tmp_path / "m", example=np.zeros((2, 5)))
    with pytest.raises(PackagingFailed, match="cannot answer the example"):
        save_model(LinearRegression().fit(FRAME, Y), tmp_path / "m", example=FRAME.rename(columns={"a": "z"}))
    assert nothing_left(tmp_path)


def test_two_packages_of_one_model_are_equal_but_for_their_identity(tmp_path: Path) -> None:
    estimator = LinearRegression().fit(X, Y)
    one, two = (save_model(estimator, tmp_path / n, example=X, serialization="cloudpickle") for n in "ab")
    differing = {name for name in one.hashes if one.hashes[name] != two.hashes[name]}
    assert differing == {"MLmodel"}
    assert one.digest != two.digest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"path": None}, "path must be the package's new directory, not None"),
        ({"metadata": 3}, "metadata must be a mapping of names to values, not 3"),
        ({"params": [1]}, r"params must be a mapping of names to values, not \[1\]"),
        ({"requirements": "pandas"}, "requirements must be a list, not 'pandas'"),
    ],
)
def test_an_argument_that_cannot_be_is_named(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    with pytest.raises(PackagingFailed, match=said):
        save_model(model, **{"path": tmp_path / "model", **arguments})
    assert not list(tmp_path.iterdir())
