"""A graph that loops as often as a cell says is ended on the way."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from penstock.errors import PredictError
from penstock.flavors.onnx.predictor import OnnxPredictor
from penstock.flavors.onnx.session import open_session
from penstock.payload import Tensors


def counting_graph() -> bytes:
    """Adds one as often as `n` says."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["sum", "one"], ["more"])],
        "body",
        [value("i", kind.INT64, []), value("go", kind.BOOL, []), value("sum", kind.FLOAT, [1])],
        [value("on", kind.BOOL, []), value("more", kind.FLOAT, [1])],
        [helper.make_tensor("one", kind.FLOAT, [1], [1.0])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "true", "zero"], ["y"], body=body)],
        "graph",
        [value("n", kind.INT64, [])],
        [value("y", kind.FLOAT, [1])],
        [helper.make_tensor("true", kind.BOOL, [], [True]), helper.make_tensor("zero", kind.FLOAT, [1], [0.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def test_a_loop_without_end_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(counting_graph())
    predictor = OnnxPredictor(open_session(tmp_path / "model.onnx", {}, 1), control_flow=True)
    few = predictor.predict(Tensors.named({"n": np.asarray(3)}), None)
    assert isinstance(few, Tensors)
    assert few.mapping()["y"].tolist() == [3.0]
    raised: list[BaseException] = []
    begun = threading.Event()

    def predict() -> None:
        begun.set()
        try:
            predictor.predict(Tensors.named({"n": np.asarray(2**40)}), None)
        except PredictError as error:
            raised.append(error)

    thread = threading.Thread(target=predict, daemon=True)
    thread.start()
    assert begun.wait(10)
    predictor.interrupt()
    thread.join(20)
    assert not thread.is_alive()
    assert len(raised) == 1
