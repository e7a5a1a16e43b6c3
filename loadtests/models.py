"""The models and bodies that the benchmark uses, packaged once into a directory: iris, a forest, the forest as ONNX."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from penstock.package.save import save_model


def make(directory: Path) -> None:
    """Packages and request bodies; what is there already is kept."""
    if (directory / "done").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    _iris(directory)
    _forest(directory)
    _identity(directory)
    (directory / "done").touch()


def _iris(directory: Path) -> None:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, target = load_iris(as_frame=True, return_X_y=True)
    frame = frame.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis=1)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(frame, target)
    save_model(pipeline, directory / "iris", example=frame.iloc[::30])
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
    _write(directory / "forest-1.json", {"inputs": rows[:1].tolist()})
    _write(directory / "forest-1000.json", {"inputs": rows.tolist()})
    _arrow(directory / "rows-1000.arrow", rows.astype(np.float32))


def _identity(directory: Path) -> None:
    """A model that costs nothing: what is left is the way in and out. One sum a row keeps the answer small."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=0)],
        "row_max",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 30])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    save_model(model, directory / "row-max", example=np.zeros((3, 30), dtype=np.float32))


def _write(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body))


def _arrow(path: Path, rows: Any) -> None:
    import pyarrow as pa
    from pyarrow import ipc

    table = pa.table({f"c{i}": rows[:, i] for i in range(rows.shape[1])})
    with ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    make(parser.parse_args().directory)
