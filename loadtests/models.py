"""The models and bodies that benchmarks and locust files use, packaged once into a directory.

iris          a scaler and a logistic regression of scikit-learn; four named columns
iris-onnx     the same as ONNX
forest        a random forest of scikit-learn: 100 trees, 30 features; forest-onnx is the same as ONNX
row-max       an ONNX graph that costs next to nothing: the way in and out is what is left
adds-1, -2    ONNX graphs that add 1000 and 2000: an answer tells which version gave it
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from penstock.package.save import save_model

ADDED = 1000.0


def make(directory: Path) -> None:
    """Packages and request bodies; what is there already is kept, unless this file or the libraries have changed."""
    done, wanted = directory / "done", _fingerprint()
    if done.exists():
        if done.read_text() == wanted:
            return
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _iris(directory)
    _forest(directory)
    _row_max(directory)
    for number in (1, 2):
        make_adds(directory, number)
    done.write_text(wanted)


def _fingerprint() -> str:
    libraries = "".join(version(name) for name in ("penstock", "scikit-learn", "onnx", "skl2onnx", "skops"))
    return hashlib.sha256(Path(__file__).read_bytes() + libraries.encode()).hexdigest()


def _iris(directory: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, target = load_iris(as_frame=True, return_X_y=True)
    frame = frame.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis=1)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(frame, target)
    save_model(pipeline, directory / "iris", example=frame.iloc[::30])
    numbers = frame.to_numpy(dtype=np.float32)
    save_model(
        to_onnx(pipeline, numbers[:1], options={"zipmap": False}), directory / "iris-onnx", example=numbers[::30]
    )
    _write(directory / "iris-onnx-1.json", {"inputs": numbers[:1].tolist()})
    rows = frame.to_numpy().tolist()
    for count in (1, 64):
        _write(directory / f"iris-{count}.json", {"dataframe_split": {"columns": list(frame), "data": rows[:count]}})


def _forest(directory: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    data, target = load_breast_cancer(return_X_y=True)
    data = data.astype(np.float32).astype(np.float64)
    forest = RandomForestClassifier(n_estimators=100, random_state=0).fit(data, target)
    save_model(forest, directory / "forest", example=data[:5])
    graph = to_onnx(forest, data[:1].astype(np.float32), options={"zipmap": False})
    save_model(graph, directory / "forest-onnx", example=data[:5].astype(np.float32))
    rows = np.tile(data, (2, 1))[:1000]
    _write(directory / "forest-64.json", {"inputs": rows[:64].tolist()})
    _write(directory / "forest-1.json", {"inputs": rows[:1].tolist()})
    _write(directory / "forest-1000.json", {"inputs": rows.tolist()})
    _arrow(directory / "rows-1000.arrow", rows.astype(np.float32))


def _row_max(directory: Path) -> None:
    """One number a row keeps the answer small."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=0)],
        "row_max",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 30])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    save_model(model, directory / "row-max", example=np.zeros((3, 30), dtype=np.float32))


def make_adds(directory: Path, number: int) -> None:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "amount"], ["y"])],
        "adds",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(np.array(ADDED * number, dtype=np.float32), "amount")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    example = np.array([[1, 2], [3, 4], [5, 7]], dtype=np.float32)
    save_model(model, directory / f"adds-{number}", example=example)


def register(registry: str, packages: Path, name: str, artifacts: str | None = None) -> None:
    """Makes versions 1 and 2 of `name` in a registry from adds-1 and adds-2, the first of them in production. A registry
    that has `name` already is left as it is: versions 3 and 4 would add what 1 and 2 do."""
    from penstock import open_registry, publish
    from penstock.errors import RegistryNotFound

    opened = open_registry(registry, artifacts=artifacts)
    try:
        with suppress(RegistryNotFound):  # the first model creates it
            if any(model.name == name for model in opened.models()):
                return
        for number in (1, 2):
            publish(opened, name, packages / f"adds-{number}")
        opened.promote(name, "1", by="loadtests")
    finally:
        opened.close()


def _write(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body))


def _arrow(path: Path, rows: Any) -> None:
    import pyarrow as pa
    from pyarrow import ipc

    table = pa.table({f"c{i}": rows[:, i] for i in range(rows.shape[1])})
    with ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--register", metavar="REGISTRY", help="put adds-1 and adds-2 into this registry, as `adds`")
    options = parser.parse_args()
    make(options.directory)
    if options.register:
        register(options.register, options.directory, "adds")
