"""An ONNX graph as far as its cost goes: nodes with their inputs, and stored tensors with the sizes that they claim."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from penstock.errors import ArtifactInvalid
from penstock.flavors.onnx.protobuf import fields, messages, text, whole_numbers
from penstock.sizes import shown_size

_GRAPH, _FUNCTION = 7, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_ATTRIBUTE_TENSORS = (5, 10)
_LISTS = (7, 8, 9)  # numbers and texts, of which a forest has millions; an attribute holds one kind of thing
_LOCATION = 13
# Attributes that say where axes go.
_SHAPES = frozenset({"axes", "axis", "perm", "shape", "transA", "transB", "value_ints"})

# Field of a tensor's values -> the least bytes of one there; packed numbers take a byte or more.
_VALUES = {4: 4, 5: 1, 6: 1, 7: 1, 9: 1, 10: 8, 11: 1}
# Data type -> bytes of one value: undefined, float, uint8, int8, uint16, int16, int32, int64, string, bool, float16, …
_BYTES = (0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2)
# What tensors without values may claim: a shape with a zero, or one number that is its type's zero.
_FREE = 1024
_KEPT = 4096  # values of whole numbers that are looked at, as shapes and repeats are


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """`cells` is how many values its shape claims, `numbers` its values where they are few and whole."""

    name: str
    cells: int
    numbers: tuple[int, ...] | None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphNode:
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    stored: tuple[StoredTensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: tuple[GraphNode, ...]
    stored: Mapping[str, StoredTensor]


def read_graph(path: Path) -> Graph:
    """Raises ArtifactInvalid for a tensor that claims more values than the file holds, ValueError and OSError for what
    is no ONNX model."""
    with path.open("rb") as file:
        # Not closed here but when its last view is gone, which an error may hold.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    nodes: list[GraphNode] = []
    stored: dict[str, StoredTensor] = {}
    for number, body in messages(memoryview(content)):
        if number == _FUNCTION:
            nodes.append(GraphNode("function", "", (), ()))
        if number != _GRAPH:
            continue
        for kind, inner in messages(body):
            if kind == _NODE:
                nodes.append(_node(inner, path))
            elif kind == _INITIALIZER:
                tensor = _tensor(inner, path)
                stored[tensor.name] = tensor
            elif kind == _SPARSE:
                nodes.append(GraphNode("sparse initializer", "", (), ()))
    return Graph(tuple(nodes), stored)


def check_stored(path: Path) -> None:
    """Raises ArtifactInvalid for a tensor that claims more values than the file holds. What is no ONNX model is for
    onnxruntime to refuse."""
    with suppress(ValueError, OSError):
        read_graph(path)


def _node(message: memoryview, path: Path) -> GraphNode:
    operator = domain = ""
    inputs: list[str] = []
    outputs: list[str] = []
    numbers: dict[str, tuple[int, ...]] = {}
    stored: list[StoredTensor] = []
    for number, value in messages(message):
        if number == 1:
            inputs.append(text(value))
        elif number == 2:
            outputs.append(text(value))
        elif number == 4:
            operator = text(value)
        elif number == 7:
            domain = text(value)
        elif number == 5:
            parts = list(messages(value, stop=_LISTS))
            stored += [_tensor(inner, path) for kind, inner in parts if kind in _ATTRIBUTE_TENSORS]
            name = next((text(inner) for kind, inner in parts if kind == 1), "")
            if name in _SHAPES:
                numbers[name] = _few_numbers(value)
    return GraphNode(operator, domain, tuple(inputs), tuple(outputs), numbers, tuple(stored))


def _few_numbers(attribute: memoryview) -> tuple[int, ...]:
    """A whole number or a list of them; nothing where there are more than any shape has."""
    if len(attribute) > _KEPT:
        return ()
    return tuple(whole_numbers(attribute, 8)) or tuple(whole_numbers(attribute, 3))


def _tensor(message: memoryview, path: Path) -> StoredTensor:
    name, kind, held, external = "", 0, 0, False
    for number, value in fields(message):
        if number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = text(value)
        elif number == _LOCATION:
            external = True
        elif number in _VALUES:
            held += 1 if isinstance(value, int) else len(value) // _VALUES[number] + (number == 6)
    raw = next((value for number, value in messages(message) if number == 9), None)
    shape = tuple(whole_numbers(message, 1))
    cells, width = prod(shape), _BYTES[kind] if kind < len(_BYTES) else 0
    if any(size < 0 for size in shape):
        raise ArtifactInvalid(f"{path.name} has a tensor {name!r} of a negative size.", hint="The file is forged.")
    holds = len(raw) // (width or 1) * (1 if width else 2) if raw is not None else held
    if not external and cells > max(holds, _FREE):
        claims = shown_size(cells * (width or 1))
        raise ArtifactInvalid(
            f"{path.name} has a tensor {name!r} that claims {claims} and holds {shown_size(len(message))}.",
            hint="The file is damaged or forged.",
        )
    return StoredTensor(name, cells, _whole(message, raw, kind, cells), shape)


def _whole(message: memoryview, raw: memoryview | None, kind: int, cells: int) -> tuple[int, ...] | None:
    if kind not in (6, 7) or cells > _KEPT:
        return None
    if raw is None:
        return tuple(whole_numbers(message, 7 if kind == 7 else 5))
    width = _BYTES[kind]
    return tuple(int.from_bytes(raw[i : i + width], "little", signed=True) for i in range(0, len(raw), width))
