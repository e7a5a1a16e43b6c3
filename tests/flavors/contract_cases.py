"""One model of every flavor, for the contract that all flavors keep: what it is, how it is packaged, how it breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from penstock.payload import Payload, Table, Tensors

FRAME = pd.DataFrame({"a": [1, 2, 3, 4], "b": [10, 20, 30, 50]})
SUMS = [11.0, 22.0, 33.0, 54.0]
SOURCE = "def predict(inputs):\n    return inputs.sum(axis=1).astype(float)\n"


@dataclass(frozen=True)
class Case:
    """`model` makes what users have in their hands, all of which add the two columns of FRAME. `file` is the artifact,
    `truncated` how much of it is left when it is cut, `sent` the recorded example's kind and the dtype of its first
    array, `other` an option that only another flavor has. `varies` says that the artifact's bytes differ each time."""

    flavor: str
    model: Callable[[Path], Any]
    file: str
    sent: tuple[type[Payload], str]
    options: Mapping[str, Any] = field(default_factory=dict)
    carries_code: bool = False
    truncated: float = 0.5
    batchable: bool = True
    varies: bool = False
    other: Mapping[str, Any] = field(default_factory=lambda: {"entry": "predict"})
    id: str = ""


def graph(place: Path) -> Any:
    """y = the sum of each row, doubles (rows, 2) in, (rows,) out."""
    from onnx import TensorProto, helper, numpy_helper

    made = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["rows"])],
        [numpy_helper.from_array(np.array([1]), "axes")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def wide_graph(place: Path) -> Any:
    """Two answers a row make no table, so the example becomes an array."""
    from onnx import TensorProto, helper

    made = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["s"], keepdims=1),
            helper.make_node("Concat", ["s", "s"], ["y"], axis=1),
        ],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["rows", 2])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def estimator(place: Path) -> Any:
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    return LinearRegression().fit(rows, rows.sum(axis=1))


def python_file(place: Path) -> Path:
    path = place / "adds.py"
    path.write_text(SOURCE)
    return path


def linear_model(place: Path) -> Any:
    from penstock_linear import LinearModel  # type: ignore[import-not-found]

    return LinearModel(("a", "b"), (1.0, 1.0))


CASES = [
    Case("onnx", graph, "model.onnx", (Table, "float64")),
    Case("onnx", wide_graph, "model.onnx", (Tensors, "float64"), id="onnx-wide"),
    Case(
        "sklearn",
        estimator,
        "model.skops",
        (Table, "int64"),
        {"serialization": "skops"},
        varies=True,  # skops numbers objects by their addresses
        id="sklearn-skops",
    ),
    Case(
        "sklearn",
        estimator,
        "model.pkl",
        (Table, "int64"),
        {"serialization": "cloudpickle"},
        carries_code=True,
        id="sklearn-pickle",
    ),
    Case(
        "python_function",
        python_file,
        "model.py",
        (Table, "int64"),
        {"config": {"unused": 1}},
        carries_code=True,
        truncated=0.2,  # half of it would be Python still
        batchable=False,
        other={"serialization": "skops"},
    ),
    Case("linear", linear_model, "linear.json", (Table, "float64"), {"link": "identity"}),
]
