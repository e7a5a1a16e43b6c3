"""Graphs that ask for more memory than there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.errors import PredictError
from penstock.flavors.onnx.predictor import OnnxPredictor
from penstock.flavors.onnx.session import open_session
from penstock.machine.memory import memory_error_behind
from penstock.payload import Tensors


def test_a_graph_that_asks_for_too_much_memory_says_so_as_python_does(tmp_path: Path) -> None:
    rows: list[str | int | None] = ["rows", 2]
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        "greedy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, rows)],
        [numpy_helper.from_array(np.array([10**14]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    greedy = tmp_path / "greedy.onnx"
    greedy.write_bytes(model.SerializeToString())
    predictor = OnnxPredictor(open_session(greedy, {}, 1), control_flow=False)
    with pytest.raises(PredictError) as caught:
        predictor.predict(Tensors.single(np.ones((1, 2), np.float32)), {})
    assert memory_error_behind(caught.value) is not None
