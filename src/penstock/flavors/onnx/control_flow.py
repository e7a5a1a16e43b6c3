"""Whether an ONNX graph has operators that repeat or branch, read from the file: its cost is then bounded by no type.

onnxruntime does not tell which operators a session runs, and the onnx library need not be installed, so the few fields
that matter are walked here. Source: onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, FunctionProto) and
the encoding of protocol buffers.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_CONTROL_FLOW = frozenset({b"Loop", b"If", b"Scan", b"SplitToSequence", b"ConcatFromSequence"})

# Field numbers: of the graph and functions in a model, nodes in a graph, nodes in a function, in a node its operator
# and attributes; in an attribute one graph or several, and numbers, of which a forest has millions.
_GRAPH, _FUNCTION = 7, 25
_GRAPH_NODE, _FUNCTION_NODE = 1, 7
_OPERATOR, _ATTRIBUTE = 4, 5
_SUBGRAPHS = (6, 11)
_NUMBERS = (7, 8)

_VARINT_BYTES = 10
_FIXED = {1: 8, 5: 4}  # wire types of fixed length


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
    for number, body in _fields(memoryview(model)):
        graphs += number == _GRAPH
        node_field = {_GRAPH: _GRAPH_NODE, _FUNCTION: _FUNCTION_NODE}.get(number)
        if node_field and any(_is_control_flow(node) for field, node in _fields(body) if field == node_field):
            return True
    if not graphs:
        raise ValueError("The file holds no ONNX graph.")
    return False


def _is_control_flow(node: memoryview) -> bool:
    for number, body in _fields(node):
        if number == _OPERATOR:
            operator = bytes(body[:64])
            if operator in _CONTROL_FLOW or operator.startswith((b"Sequence", b"Optional")):
                return True
        elif number == _ATTRIBUTE and _carries_graph(body):
            return True
    return False


def _carries_graph(attribute: memoryview) -> bool:
    """Whether the attribute is a graph or several. One that holds numbers is not read to its end."""
    return any(number in _SUBGRAPHS for number, _ in _fields(attribute, stop=_NUMBERS))


def _fields(message: memoryview, stop: tuple[int, ...] = ()) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that have a length, by number; others are passed over. Ends at a field of `stop`. Raises
    ValueError."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        wire_type = key & 7
        if key >> 3 in stop:
            return
        if wire_type == 0:
            _, position = _varint(message, position)
        elif wire_type == 2:
            length, position = _varint(message, position)
            if length > end - position:
                raise ValueError("A field of the ONNX model ends beyond the file.")
            yield key >> 3, message[position : position + length]
            position += length
        elif wire_type in _FIXED:
            position += _FIXED[wire_type]
        else:
            raise ValueError(f"The ONNX model has a field of unknown type {wire_type}.")
    if position != end:
        raise ValueError("A field of the ONNX model ends beyond the file.")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, and where it ends."""
    value = 0
    for i, byte in enumerate(message[position : position + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise ValueError("A number in the ONNX model does not end.")
