"""ONNX packages: graphs of one input and of several, with every kind of signature."""

from __future__ import annotations

import mlflow.onnx
import numpy as np
from mlflow.types import DataType
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from contract.packages_sklearn import IRIS, _iris
from contract.saving import columns, save, signed, tensors

FLOAT, DOUBLE, STRING = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.STRING
INT64, INT32, UINT8, BOOL = TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.BOOL


def _graph(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(
        [helper.make_node(kind, list(given), list(made)) for kind, given, made in nodes],
        "contract",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _identity(kind, shape):
    return _graph([("Identity", ["x"], ["y"])], [("x", kind, shape)], [("y", kind, shape)])


def _iris_graph(labels=None):
    x, y = _iris()
    rows = x.to_numpy(dtype=np.float32)
    model = LogisticRegression(max_iter=500).fit(rows, y if labels is None else np.array(labels)[y])
    return to_onnx(model, rows[:1], options={"zipmap": False}, target_opset=17)


def _by_column():
    """Two inputs of one axis each: a sum of floats and a product of whole numbers."""
    nodes = [("Add", ["a", "a"], ["twice"]), ("Mul", ["n", "n"], ["square"])]
    inputs = [("a", FLOAT, ["rows"]), ("n", INT64, ["rows"])]
    return _graph(nodes, inputs, [("twice", FLOAT, ["rows"]), ("square", INT64, ["rows"])])


def _kinds():
    kinds = {"f": FLOAT, "d": DOUBLE, "i": INT32, "l": INT64, "b": BOOL, "s": STRING}
    nodes = [("Identity", [name], [f"{name}_out"]) for name in kinds]
    inputs = [(name, kind, ["rows"]) for name, kind in kinds.items()]
    return _graph(nodes, inputs, [(f"{name}_out", kind, ["rows"]) for name, kind in kinds.items()])


def _saver(make, schema, **arguments):
    def saver(name: str) -> None:
        signature = None if schema is None else signed(schema)
        save(name, mlflow.onnx.save_model, onnx_model=make(), signature=signature, **arguments)

    return saver


def _types(**fields):
    return columns(*[(DataType[type_], name) for name, type_ in fields.items()])


FOUR = dict.fromkeys(IRIS, "float")

PACKAGES = {
    "onnx_tensor_float": _saver(_iris_graph, tensors((np.dtype("float32"), (-1, 4)))),
    "onnx_named_tensor": _saver(_iris_graph, tensors((np.dtype("float32"), (-1, 4), "X"))),
    "onnx_columns_float": _saver(lambda: _identity(FLOAT, ["rows", 1]), _types(a="float")),
    "onnx_columns_double": _saver(lambda: _identity(FLOAT, ["rows", 1]), _types(a="double")),
    "onnx_columns_wide": _saver(_iris_graph, _types(**FOUR)),
    "onnx_columns_as_double_graph": _saver(lambda: _identity(DOUBLE, ["rows", 2]), _types(a="double", b="double")),
    "onnx_columns_long_for_float": _saver(lambda: _identity(FLOAT, ["rows", 1]), _types(a="long")),
    "onnx_by_column": _saver(_by_column, _types(a="float", n="long")),
    "onnx_by_column_double": _saver(_by_column, _types(n="long", a="double")),
    "onnx_kinds_by_column": _saver(
        _kinds, _types(f="float", d="double", i="integer", l="long", b="boolean", s="string")
    ),
    "onnx_kinds_by_tensor": _saver(
        _kinds,
        tensors(
            *[
                (np.dtype(d), (-1,), n)
                for d, n in zip(["float32", "float64", "int32", "int64", "bool"], "fdilb", strict=True)
            ],
            (np.dtype("str"), (-1,), "s"),
        ),
    ),
    "onnx_text_labels": _saver(
        lambda: _iris_graph(["setosa", "versicolor", "virginica"]), tensors((np.dtype("float32"), (-1, 4)))
    ),
    "onnx_strings": _saver(lambda: _identity(STRING, ["rows", 1]), _types(s="string")),
    "onnx_image": _saver(lambda: _identity(UINT8, ["rows", 2, 2, 3]), tensors((np.dtype("uint8"), (-1, 2, 2, 3)))),
    "onnx_no_signature": _saver(lambda: _identity(FLOAT, ["rows", 2]), None),
    "onnx_options": _saver(
        lambda: _identity(FLOAT, ["rows", 2]),
        tensors((np.dtype("float32"), (-1, 2))),
        onnx_execution_providers=["CUDAExecutionProvider", ["CPUExecutionProvider", {"use_arena": "1"}]],
        onnx_session_options={"intra_op_num_threads": 1, "execution_mode": "sequential", "graph_optimization_level": 1},
    ),
}
