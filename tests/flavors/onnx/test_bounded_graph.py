"""Which ONNX graphs are bounded by their input, and tensors that claim more than they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx import helper as h

from penstock.errors import ArtifactInvalid
from penstock.flavors.onnx.bounded_graph import graph_reasons
from penstock.flavors.onnx.graph import read_graph

ROWS = h.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
ANY = h.make_tensor_value_info("y", TensorProto.FLOAT, None)


def numbers(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def file(directory: Path, nodes: Sequence[Any], stored: Sequence[Any] = (), **more: Any) -> Path:
    graph = h.make_graph(nodes, "g", [ROWS], [ANY], list(stored))
    opsets = [h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)]
    path = directory / "model.onnx"
    path.write_bytes(h.make_model(graph, opset_imports=opsets, **more).SerializeToString())
    return path


def node(operator: str, *inputs: str, **attributes: Any) -> Any:
    return h.make_node(operator, list(inputs), ["y"], **attributes)


def reasons(directory: Path, nodes: Sequence[Any], *stored: Any) -> list[str]:
    return graph_reasons(read_graph(file(directory, nodes, stored)))


WEIGHTS = numpy_helper.from_array(np.ones((4, 64), dtype=np.float32), "w")


@pytest.mark.parametrize(
    ("nodes", "stored"),
    [
        ([h.make_node("MatMul", ["x", "w"], ["a"]), node("Relu", "a")], [WEIGHTS]),
        ([node("Reshape", "x", "s")], [numbers("s", [-1, 2, 2])]),
        ([node("Tile", "x", "r")], [numbers("r", [1, 3])]),
        ([node("Pad", "x", "p")], [numbers("p", [0, 1, 0, 1])]),
        ([h.make_node("Constant", [], ["p"], value=numbers("", [1, 2])), node("Expand", "x", "p")], []),
        ([node("Transpose", "x", perm=[0, 1])], []),
        ([node("Transpose", "w", perm=[1, 0])], [WEIGHTS]),
        ([node("Scaler", "x", domain="ai.onnx.ml", offset=[0.0], scale=[1.0])], []),
        ([node("Concat", "x", "x", "x", axis=1)], []),
    ],
)
def test_graphs_whose_sizes_are_stored_are_bounded(tmp_path: Path, nodes: Any, stored: Any) -> None:
    assert reasons(tmp_path, nodes, *stored) == []


@pytest.mark.parametrize(
    ("nodes", "stored", "why"),
    [
        ([node("Expand", "x", "x")], [], "the size of what Expand makes comes from data"),
        ([node("Tile", "x", "x")], [], "the size of what Tile makes comes from data"),
        ([node("ConstantOfShape", "x")], [], "the size of what ConstantOfShape makes comes from data"),
        ([node("OneHot", "x", "x", "x")], [], "the size of what OneHot makes comes from data"),
        ([node("Range", "x", "x", "x")], [], "operator Range was not reviewed"),
        ([node("NonZero", "x")], [], "operator NonZero was not reviewed"),
        ([node("Resize", "x")], [], "operator Resize was not reviewed"),
        ([node("Einsum", "x", "x", equation="ij,kj->ik")], [], "operator Einsum was not reviewed"),
        ([node("Add", "x", "x", domain="mine")], [], "operator Add was not reviewed"),
        ([node("ConstantOfShape", "s")], [numbers("s", [10**6, 10**6])], "makes more than 1,048,576 numbers"),
        ([node("Transpose", "x")], [], "Transpose moves the axis of rows"),
        ([node("Gemm", "x", "x", transA=1)], [], "Gemm moves the axis of rows"),
        ([node("Reshape", "x", "s")], [numbers("s", [1, -1])], "Reshape moves the axis of rows"),
        ([node("Unsqueeze", "x", "s")], [numbers("s", [0])], "Unsqueeze moves the axis of rows"),
    ],
)
def test_other_graphs_run_apart_and_it_says_why(tmp_path: Path, nodes: Any, stored: Any, why: str) -> None:
    assert any(why in reason for reason in reasons(tmp_path, nodes, *stored))


def test_a_graph_that_doubles_its_input_again_and_again_runs_apart(tmp_path: Path) -> None:
    doubled = [h.make_node("Concat", [f"x{i}"] * 2, [f"x{i + 1}"], axis=1) for i in range(20)]
    (why,) = reasons(tmp_path, [h.make_node("Identity", ["x"], ["x0"]), *doubled])
    assert "more than 4,096 times as large" in why


@pytest.mark.parametrize("field", ["float_data", "raw_data", "int64_data"])
def test_a_tensor_that_claims_more_than_it_holds_is_refused(tmp_path: Path, field: str) -> None:
    tensor = TensorProto(name="w", dims=[10**6, 10**6], data_type=TensorProto.FLOAT)
    setattr(tensor, field, b"\0" * 8) if field == "raw_data" else getattr(tensor, field).extend([1, 2])
    with pytest.raises(ArtifactInvalid, match=r"tensor 'w' that claims 4\.0 TB and holds"):
        read_graph(file(tmp_path, [node("Add", "x", "w")], [tensor]))


def test_a_tensor_in_an_attribute_is_looked_at_too(tmp_path: Path) -> None:
    tensor = TensorProto(name="v", dims=[2**40], data_type=TensorProto.INT64)
    with pytest.raises(ArtifactInvalid, match="tensor 'v' that claims"):
        read_graph(file(tmp_path, [h.make_node("Constant", [], ["y"], value=tensor)]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "bool", "uint16", "complex64"])
@pytest.mark.parametrize("raw", [True, False])
def test_honest_tensors_of_every_type_pass(tmp_path: Path, dtype: str, raw: bool) -> None:
    array = np.ones((300, 40), dtype=dtype)
    kind = h.np_dtype_to_tensor_dtype(array.dtype)
    values = array.tobytes() if raw else array.ravel().tolist()
    tensor = h.make_tensor("w", kind, array.shape, values, raw=raw)
    texts = h.make_tensor("t", TensorProto.STRING, [2000], [b""] * 2000)  # type: ignore[list-item]
    found = read_graph(file(tmp_path, [node("Identity", "x")], [tensor, texts]))
    assert found.stored["w"].cells == 12_000


def test_functions_of_the_model_and_sparse_tensors_run_apart(tmp_path: Path) -> None:
    function = h.make_function("mine", "F", ["a"], ["b"], [h.make_node("Identity", ["a"], ["b"])], [])
    path = file(tmp_path, [node("Identity", "x")], functions=[function])
    assert graph_reasons(read_graph(path)) == ["its operator function was not reviewed for the gateway"]


def test_what_is_no_model_is_left_to_onnxruntime(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(ValueError, match=r"ONNX model"):
        read_graph(path)
    assert onnx.__version__


def floats(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(np.zeros(shape, dtype=np.float32), name)


_COLUMNS, _ROW = numbers("columns", [2]), numbers("row", [1])
_PRODUCT = [h.make_node("Unsqueeze", ["x", "columns"], ["a"]), h.make_node("Unsqueeze", ["x", "row"], ["b"])]
_LARGER: dict[str, tuple[list[Any], list[Any]]] = {
    "a wide matrix": ([node("MatMul", "x", "w")], [floats("w", 4, 50_000)]),
    "a wide matrix that is turned": ([node("Gemm", "x", "w", transB=1)], [floats("w", 50_000, 4)]),
    "a long vector beside a column": ([*_PRODUCT[:1], node("Add", "a", "v")], [_COLUMNS, floats("v", 5_000)]),
    "a vector longer than rows are": ([node("Add", "x", "v")], [floats("v", 20_000)]),
    "a vector of other axes": ([node("Add", "x", "v")], [floats("v", 5_000, 1, 1)]),
    "one column many times": ([node("Gather", "x", "i", axis=1)], [numbers("i", [0] * 5_000)]),
    "a wide table": ([h.make_node("Cast", ["x"], ["i"], to=7), node("Gather", "w", "i")], [floats("w", 2, 5_000)]),
    "each number by each": ([*_PRODUCT, node("MatMul", "a", "b")], [_COLUMNS, _ROW]),
    "each number beside each": ([*_PRODUCT, node("Add", "a", "b")], [_COLUMNS, _ROW]),
}


@pytest.mark.parametrize("name", _LARGER)
def test_graphs_that_make_rows_much_larger_by_stored_tensors_run_apart(tmp_path: Path, name: str) -> None:
    nodes, stored = _LARGER[name]
    (why,) = reasons(tmp_path, nodes, *stored)
    assert "more than 4,096 times as large" in why


def test_layers_that_widen_and_narrow_rows_stay(tmp_path: Path) -> None:
    layers = [h.make_node("Identity", ["x"], ["h0"])]
    for i in range(6):
        layers += [h.make_node("Gemm", [f"h{i}", "up", "b"], [f"u{i}"])]
        layers += [h.make_node("Gemm", [f"u{i}", "down"], [f"h{i + 1}"], transB=1)]
        layers += [h.make_node("Add", [f"h{i + 1}", "h0"], [f"r{i}"])]
    assert reasons(tmp_path, layers, floats("up", 4, 2048), floats("b", 2048), floats("down", 4, 2048)) == []
