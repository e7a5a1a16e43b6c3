"""What Penstock packages, real MLflow loads, and predicts the same: every road to a package, from Python and from the
command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from penstock.cli import penstock
from penstock.package import PackagedModel, answers_differ
from penstock.package.save import save_model

pytestmark = pytest.mark.services

IRIS = load_iris(as_frame=True).data.set_axis(["length", "width", "depth", "height"], axis=1)
KINDS = load_iris().target
ROWS = IRIS.iloc[::15]
WORDS = IRIS.assign(colour=np.where(KINDS > 0, "blue", "red"))
BODY = {"dataframe_split": ROWS.to_dict(orient="split", index=False)}
ARRAY = ROWS.to_numpy(dtype=np.float32)

FUNCTION = """
import helper_of_this_model


def predict(inputs, params):
    return [helper_of_this_model.scaled(row, params.get("factor", 1.0)) for row in inputs.itertuples(index=False)]


def scores(inputs):
    return inputs.to_numpy()[:, :2]
"""
HELPER = "def scaled(row, factor):\n    return float(sum(row)) * factor\n"

CLASS = """
import numpy as np
import pandas as pd


class Model:
    def load(self, context):
        self.weights = np.load(context.artifacts["weights"])
        self.shift = (context.model_config or {}).get("shift", 0.25)

    def predict(self, inputs, params):
        total = inputs.to_numpy() @ self.weights + self.shift
        return pd.DataFrame({"total": total, "large": total > 10})
"""

ARRAYS = """
def predict(inputs):
    if isinstance(inputs, dict):
        return {"sum": inputs["a"].sum(axis=1), "words": inputs["b"]}
    return inputs[:, ::-1]
"""

CODE_THAT_IS_CALLED = "import numpy as np\n\n\ndef squared(rows):\n    return np.asarray(rows) ** 2\n"


def forest() -> Any:
    return RandomForestClassifier(5, random_state=0).fit(IRIS, np.array(["a", "b", "c"])[KINDS])


def encoded() -> Any:
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    return make_pipeline(columns, LinearRegression()).fit(WORDS, KINDS)


def scaler_and_line() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(IRIS, KINDS)


def squares() -> Any:
    """Only a pickle holds a function."""
    return make_pipeline(FunctionTransformer(lambda rows: rows**2), LinearRegression()).fit(IRIS, KINDS)


def named_classes() -> Any:
    return LogisticRegression(max_iter=500).fit(IRIS, np.array(["setosa", "versicolor", "virginica"])[KINDS])


def with_own_step(place: Path) -> None:
    """model.joblib refers to a function of step_of_this_model.py, which is imported here only meanwhile."""
    (place / "step_of_this_model.py").write_text("def halved(rows):\n    return rows / 2\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(place)
        step = import_module("step_of_this_model")
        joblib.dump(
            make_pipeline(FunctionTransformer(step.halved), LinearRegression()).fit(IRIS, KINDS), place / "model.joblib"
        )
    del sys.modules["step_of_this_model"]


def single_graph() -> onnx.ModelProto:
    from skl2onnx import to_onnx

    fitted = LogisticRegression(max_iter=500).fit(IRIS.to_numpy(np.float32), KINDS)
    model: onnx.ModelProto = to_onnx(fitted, ARRAY[:1], options={"zipmap": False}, target_opset=17)
    return model


def graph(inputs: dict[str, list[Any]], nodes: list[Any], outputs: dict[str, list[Any]], *weights: Any) -> Any:
    """All inputs and outputs are floats."""
    sides = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in side.items()] for side in (inputs, outputs)
    ]
    made = helper.make_graph(nodes, "graph", sides[0], sides[1], list(weights))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def largest() -> Any:
    node = helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=0)
    return graph({"x": ["rows", 4]}, [node], {"y": ["rows"]})


def two_inputs(*shape: Any) -> Any:
    inputs = {"price": ["rows", *shape], "count": ["rows", *shape]}
    return graph(inputs, [helper.make_node("Mul", ["price", "count"], ["total"])], {"total": ["rows", *shape]})


def with_external_weights(place: Path) -> Path:
    weights = numpy_helper.from_array(np.arange(4 * 300, dtype=np.float32).reshape(4, 300), "weights")
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    made = graph({"x": ["rows", 4]}, [node], {"y": ["rows", 300]}, weights)
    path = place / "external.onnx"
    onnx.save(made, path, save_as_external_data=True, location="weights.bin", size_threshold=1024)
    return path


def saved(model: Callable[[], Any], example: Any, **how: Any) -> Callable[[Path], Any]:
    return lambda place: save_model(model(), place / "made", example=example, **how)


def sources(place: Path) -> Path:
    for name, text in (("function", FUNCTION), ("helper_of_this_model", HELPER), ("class", CLASS), ("arrays", ARRAYS)):
        (place / f"{name}.py").write_text(text)
    np.save(place / "weights.npy", np.arange(4.0))
    return place


def source(name: str, example: Any, **how: Any) -> Callable[[Path], Any]:
    def save(place: Path) -> Any:
        sources(place)
        given = dict(how)
        if "artifacts" in given:
            given["artifacts"] = {name: place / file for name, file in given["artifacts"].items()}
        if "code" in given:
            given["code"] = [place / file for file in given["code"]]
        return save_model(place / name, place / "made", example=example, **given)

    return save


def command(
    *arguments: str, model: Callable[[Path], Any] | None = None, example: str = "rows.csv"
) -> Callable[[Path], Any]:
    """`penstock package ARGUMENTS`, in a directory with the sources, the rows and what `model` puts there."""

    def run(place: Path) -> None:
        sources(place)
        ROWS.to_csv(place / "rows.csv", index=False)
        WORDS.iloc[::15].to_parquet(place / "words.parquet")
        (place / "body.json").write_text(json.dumps({**BODY, "params": {"factor": 3.0}}))
        (place / "array.json").write_text(json.dumps({"inputs": ARRAY.tolist()}))
        (place / "prices.json").write_text(json.dumps({"inputs": {"price": [1.5, 2.0], "count": [2.0, 3.0]}}))
        if model is not None:
            model(place)
        words = [word.replace("{}", str(place)) for word in arguments]
        words += ["--example", str(place / example)] if words[0] != "convert" else []
        done = CliRunner().invoke(penstock, ["package", *words, "-o", str(place / "made")])
        assert done.exit_code == 0, (done.output, done.exception)

    return run


def dumped(make: Callable[[], Any], name: str = "model.joblib") -> Callable[[Path], Any]:
    return lambda place: joblib.dump(make(), place / name)


def written(make: Callable[[], Any]) -> Callable[[Path], Any]:
    return lambda place: onnx.save(make(), place / "model.onnx")


def pickled_package(place: Path) -> None:
    save_model(forest(), place / "pickled", example=ROWS, serialization="cloudpickle", predict_fn="predict_proba")


TENSORS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "y"])}

ROADS: dict[str, Callable[[Path], Any]] = {
    "sklearn: skops": saved(scaler_and_line, ROWS),
    "sklearn: skops, probabilities": saved(forest, ROWS, predict_fn="predict_proba"),
    "sklearn: skops, labels and probabilities": saved(named_classes, ROWS, predict_fn="both"),
    "sklearn: cloudpickle, probabilities": saved(
        named_classes, ROWS, predict_fn="predict_log_proba", serialization="cloudpickle"
    ),
    "sklearn: skops, an array": saved(
        lambda: HistGradientBoostingClassifier(max_iter=5).fit(IRIS.to_numpy(), KINDS), ROWS.to_numpy()
    ),
    "sklearn: skops, text": saved(encoded, WORDS.iloc[::15]),
    "sklearn: several outputs": saved(
        lambda: MultiOutputRegressor(LinearRegression()).fit(IRIS, np.c_[KINDS, KINDS * 2.5]), ROWS
    ),
    "sklearn: cloudpickle": saved(forest, ROWS, serialization="cloudpickle"),
    "sklearn: cloudpickle, a function inside": saved(squares, ROWS),
    "sklearn: without an example's params": saved(scaler_and_line, ROWS, params={"factor": 1.0}),
    "onnx: one input": saved(single_graph, ARRAY),
    "onnx: one input, columns": saved(largest, ROWS),
    "onnx: several inputs by column": saved(two_inputs, pd.DataFrame({"price": [1.5, 2.0], "count": [2.0, 3.0]})),
    "onnx: several arrays": saved(
        lambda: two_inputs(2), {"price": np.ones((3, 2), np.float32), "count": np.full((3, 2), 2, np.float32)}
    ),
    "onnx: external data": lambda place: save_model(with_external_weights(place), place / "made", example=ARRAY),
    "python: a function, its module, params": source(
        "function.py", ROWS, code=["helper_of_this_model.py"], params={"factor": 2.0}
    ),
    "python: another entry": source("function.py", ROWS, code=["helper_of_this_model.py"], entry="scores"),
    "python: a class, an artifact, settings": source(
        "class.py", ROWS, artifacts={"weights": "weights.npy"}, config={"shift": 0.5}, batchable=True
    ),
    "python: an array": source("arrays.py", ARRAY),
    "python: named arrays": source("arrays.py", TENSORS),
    "command: sklearn": command("sklearn", "{}/model.joblib", model=dumped(scaler_and_line)),
    "command: sklearn, probabilities": command(
        "sklearn", "{}/model.pkl", "--predict-fn", "predict_proba", model=dumped(forest, "model.pkl")
    ),
    "command: sklearn, cloudpickle": command(
        "sklearn", "{}/model.joblib", "--format", "cloudpickle", model=dumped(forest)
    ),
    "command: sklearn, a module of its own": command(
        "sklearn", "{}/model.joblib", "--code", "{}/step_of_this_model.py", model=with_own_step
    ),
    "command: sklearn, text in Parquet": command(
        "sklearn", "{}/model.joblib", model=dumped(encoded), example="words.parquet"
    ),
    "command: onnx": command("onnx", "{}/model.onnx", model=written(single_graph), example="array.json"),
    "command: onnx, several inputs": command(
        "onnx", "{}/model.onnx", model=written(two_inputs), example="prices.json"
    ),
    "command: onnx, external data": command(
        "onnx", "{}/external.onnx", model=with_external_weights, example="array.json"
    ),
    "command: python, a function": command(
        "python", "{}/function.py", "--code", "{}/helper_of_this_model.py", example="body.json"
    ),
    "command: python, a class": command(
        "python", "{}/class.py", "--artifact", "weights={}/weights.npy", "--entry", "Model", "--batchable"
    ),
    "command: convert": command("convert", "{}/pickled", model=pickled_package),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[PackagedModel, Any]]:
    """Every package, and what MLflow answers to its example. One MLflow process for all of them."""
    made: dict[str, PackagedModel] = {}
    for road, make in ROADS.items():
        place = tmp_path_factory.mktemp("road")
        make(place)
        made[road] = PackagedModel.open(place / "made")
    done = subprocess.run(
        [mlflow_python, Path(__file__).with_name("ask_mlflow.py"), *(package.path for package in made.values())],
        capture_output=True, text=True, timeout=300, cwd=tmp_path_factory.mktemp("mlflow"),
    )  # fmt: skip
    found = [
        json.loads(line.removeprefix("ANSWER ")) for line in done.stdout.splitlines() if line.startswith("ANSWER ")
    ]
    assert len(found) == len(made), done.stderr[-3000:]
    return dict(zip(made, zip(made.values(), found, strict=True), strict=True))


@pytest.mark.parametrize("road", ROADS)
def test_mlflow_answers_as_recorded(answers: dict[str, tuple[PackagedModel, Any]], road: str) -> None:
    package, answer = answers[road]
    example = package.example()
    assert example is not None
    assert example.has_expected
    assert not answers_differ(example.expected, answer, where="")
