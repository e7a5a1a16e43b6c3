"""How many times as large as its input an ONNX graph's tensors become, by the stored tensors that they meet.

A row of four numbers times a stored matrix of four by a million is a row of a million, and a column beside a stored
vector is as many columns. What a tensor's own axes are is not followed: where it is not known, the larger is assumed.
Source: the shape rules of the operators of ONNX 1.23.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, prod

from penstock.flavors.onnx.graph import GraphNode, StoredTensor

# A vector as long as this stands beside rows of its own length; a longer one makes rows as long as it is.
_LONGEST_VECTOR = 16_384

_BROADCAST = frozenset(
    {"Add", "And", "BitShift", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean"}
    | {"Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"}
)
_PRODUCTS = frozenset({"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"})
_PICKS = frozenset({"ArrayFeatureExtractor", "Gather"})
# After these a tensor has axes that the input had not, along which others may be repeated.
_NEW_AXES = frozenset({"Reshape", "Unsqueeze"})


def makes_axes(node: GraphNode) -> bool:
    return node.operator in _NEW_AXES


def growth_of(
    node: GraphNode, growth: Mapping[str, float], stored: Mapping[str, StoredTensor], new_axes: set[str]
) -> float:
    """How many times as large as the graph's input a node's answer may be; 0 for one of stored tensors alone.
    `growth` says so of its inputs, and `new_axes` which of them have axes that the input had not."""
    given = {name: growth.get(name, 1.0) for name in node.inputs if name}
    rows = [name for name in given if name not in stored and given[name]]
    if node.operator in ("Concat", "FeatureVectorizer"):
        return sum(growth.get(name, 1.0) for name in node.inputs if name)
    largest = max(given.values(), default=0.0)
    if not rows:
        return largest
    if node.operator in _PRODUCTS:
        return largest * _product(node, rows, stored)
    if node.operator in _PICKS:
        return largest * _picked(node, stored)
    if node.operator in _BROADCAST:
        return largest * _repeated(node, rows, stored, any(name in new_axes for name in rows))
    return largest


def _product(node: GraphNode, rows: list[str], stored: Mapping[str, StoredTensor]) -> float:
    factors = [name for name in node.inputs[:4] if name in rows or len(_shape(stored, name)) > 1]
    if node.operator == "Gemm":
        factors = list(node.inputs[:2])
    if len([name for name in factors if name in rows]) > 1:
        return inf  # each number of a row by each other one
    matrix = next((_shape(stored, name) for name in factors if name in stored), ())
    if len(matrix) < 2 or not all(matrix):
        return 1.0
    turned = node.operator == "Gemm" and node.numbers.get("transB", (0,))[:1] == (1,)
    if turned:
        length, width = matrix[1], matrix[0]
    elif factors[0] in stored:
        length, width = matrix[-1], matrix[-2]
    else:
        length, width = matrix[-2], matrix[-1]
    return prod(matrix[:-2]) * width / length


def _picked(node: GraphNode, stored: Mapping[str, StoredTensor]) -> float:
    """Places that are picked twice make more of what is there; rows of a stored table are as wide as it is."""
    if len(node.inputs) < 2:
        return 1.0
    table, places = stored.get(node.inputs[0]), stored.get(node.inputs[1])
    if places is not None:
        return places.cells / max(len(set(places.numbers or ())), 1) if table is None else 1.0
    if table is not None and table.shape:
        axis = (node.numbers.get("axis") or (0,))[0]
        return table.cells / max(table.shape[axis] if -len(table.shape) <= axis < len(table.shape) else 1, 1)
    return 1.0


def _repeated(node: GraphNode, rows: list[str], stored: Mapping[str, StoredTensor], new_axes: bool) -> float:
    if len(rows) > 1 and new_axes:
        return inf  # each number of a row beside each other one
    times = 1.0
    for tensor in (stored[name] for name in node.inputs if name in stored):
        if new_axes or tensor.cells > _LONGEST_VECTOR:
            times *= max(tensor.cells, 1)
        elif len(tensor.shape) > 1:
            times *= max(tensor.shape[0], 1)
    return times


def _shape(stored: Mapping[str, StoredTensor], name: str) -> tuple[int, ...]:
    return stored[name].shape if name in stored else ()
