"""Whether an ONNX graph has operators that repeat or branch, read from the file: its cost is then bounded by no type.

onnxruntime does not tell which operators a session runs, and the onnx library need not be installed, so the few fields
that matter are walked here. Source: onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, FunctionProto) and
the encoding of protocol buffers.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from penstock.flavors.onnx.protobuf import messages

_CONTROL_FLOW = frozenset({b"Loop", b"If", b"Scan", b"SplitToSequence", b"ConcatFromSequence"})

# Field numbers: of the graph and functions in a model, nodes in a graph, nodes in a function, in a node its operator
# and attributes; in an attribute one graph or several, and lists of numbers and texts, of which a forest has millions.
_GRAPH, _FUNCTION = 7, 25
_GRAPH_NODE, _FUNCTION_NODE = 1, 7
_OPERATOR, _ATTRIBUTE = 4, 5
_SUBGRAPHS = (6, 11)
_LISTS = (7, 8, 9)


def has_control_flow(path: Path) -> bool:
    """Whether the model file has Loop, If, Scan, an operator on sequences, or any other that carries a graph. True as
    well for what cannot be read as an ONNX model, of which nothing is known."""
    try:
        with path.open("rb") as file:
            # Not closed here but when its last view is gone, which an error may hold.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return model_has_control_flow(content)
    except (OSError, ValueError):
        return True


def model_has_control_flow(model: bytes | mmap.mmap) -> bool:
    """The same of a model's bytes. Raises ValueError where they are none."""
    graphs = 0
    for number, body in messages(memoryview(model)):
        graphs += number == _GRAPH
        node_field = {_GRAPH: _GRAPH_NODE, _FUNCTION: _FUNCTION_NODE}.get(number)
        if node_field and any(_is_control_flow(node) for field, node in messages(body) if field == node_field):
            return True
    if not graphs:
        raise ValueError("The file holds no ONNX graph.")
    return False


def _is_control_flow(node: memoryview) -> bool:
    for number, body in messages(node):
        if number == _OPERATOR:
            operator = bytes(body[:64])
            if operator in _CONTROL_FLOW or operator.startswith((b"Sequence", b"Optional")):
                return True
        elif number == _ATTRIBUTE and _carries_graph(body):
            return True
    return False


def _carries_graph(attribute: memoryview) -> bool:
    """Whether the attribute is a graph or several. One that holds a list is not read to its end."""
    return any(number in _SUBGRAPHS for number, _ in messages(attribute, stop=_LISTS))
