"""Skops files of the usual kinds, read without skops.

Importing skops imports all of scikit-learn, to learn the names of its estimators: a second of processor time, and
several where a load is throttled. Most files hold estimators, trees, losses, generators of random numbers, arrays, and
plain Python values. Those are read here by skops' own rules; for whatever else a file may hold the answer is None, and
skops reads it. So nothing is trusted that skops, given `TRUSTED_TYPES`, would not trust.

Nothing is imported or made before the whole description has been looked at. Source: skops.io, protocol 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZipFile

import numpy as np

from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn.estimator_names import LOSSES, installed_estimators
from penstock.flavors.sklearn.skops_archive import open_archive, read_member, read_schema
from penstock.flavors.sklearn.trusted_types import TRUSTED_TYPES

# One object of a file's description.
Node: TypeAlias = dict[str, Any]

_PROTOCOL = 2

_PRIMITIVES = {"builtins.int": int, "builtins.float": float, "builtins.str": str, "builtins.bool": bool}
_SCALARS = {
    f"numpy.{name}": getattr(np, name)
    for name in (
        "bool",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "str_",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    )
}
_TREE = "sklearn.tree._tree.Tree"
_RANDOM_STATE = "numpy.random.mtrand.RandomState"
_GENERATOR = "numpy.random._generator.Generator"
_BIT_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
# What a seed was made from, and how large its pool is wherever nobody chose another size.
_SEED = frozenset({"entropy", "n_children_spawned", "pool_size", "spawn_key"})
_POOL_SIZE = 4
_DICTS = ("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch")


class _Unusual(Exception):
    """The file holds something that is left to skops."""


def holds_usual_types(path: Path) -> bool:
    """Whether the file holds nothing but what is read here, which is all trusted. Constructs nothing. Raises
    ArtifactInvalid for an archive that unpacks to too much."""
    try:
        with open_archive(path) as archive:
            _described(archive)
    except ArtifactInvalid:
        raise
    except Exception:  # a damaged archive fails in many ways; skops will name them
        return False
    return True


def read_usual(path: Path) -> Any:
    """What the file holds; None where that is for skops to read, or to refuse. Raises ArtifactInvalid for an archive
    that unpacks to too much."""
    try:
        with open_archive(path) as archive:
            return _Builder(archive).build(_described(archive))
    except ArtifactInvalid:
        raise
    except Exception:
        return None


def _described(archive: ZipFile) -> Node:
    """The file's description, checked whole. Raises _Unusual, and what broken files raise."""
    estimators = installed_estimators()
    if estimators is None:
        raise _Unusual
    schema: Node = json.loads(read_schema(archive))
    if type(schema.get("protocol")) is not int or schema["protocol"] != _PROTOCOL:
        raise _Unusual
    _Check(estimators | TRUSTED_TYPES).check(schema)
    return schema


def _name(node: Node) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _only(condition: bool) -> None:
    if not condition:
        raise _Unusual


class _Check:
    """Looks at every node of a description: is it of a kind and of a type that is read here?"""

    def __init__(self, trusted: frozenset[str]) -> None:
        self._trusted = trusted

    def check(self, node: Node) -> None:
        """Raises _Unusual, or what comes of a node that is not formed as skops forms it."""
        look = _CHECKS.get(node["__loader__"])
        if look is None:
            raise _Unusual
        look(self, node)

    def json(self, node: Node) -> None:
        _only(type(node["content"]) is str)

    def dict(self, node: Node) -> None:
        keys = node["key_types"]
        _only(_name(node) in _DICTS and keys["__loader__"] == "ListNode")
        self.check(keys)
        _only(all(key["__loader__"] == "TypeNode" for key in keys["content"]))
        _only(len(keys["content"]) == len(node["content"]))
        for inner in node["content"].values():
            self.check(inner)

    def list(self, node: Node) -> None:
        _only(_name(node) == "builtins.list" and type(node["content"]) is list)
        for inner in node["content"]:
            self.check(inner)

    def tuple(self, node: Node) -> None:
        _only(_name(node) == "builtins.tuple" and type(node["content"]) is list)
        for inner in node["content"]:
            self.check(inner)

    def type(self, node: Node) -> None:
        _only(_name(node) in _PRIMITIVES or _name(node) in _SCALARS)

    def function(self, node: Node) -> None:
        _only(_name(node) in TRUSTED_TYPES or _is_ufunc(node))

    def dtype(self, node: Node) -> None:
        _only(_name(node) == "numpy.dtype" and node["content"]["__loader__"] == "NdArrayNode")
        self.check(node["content"])

    def array(self, node: Node) -> None:
        _only(_name(node) == "numpy.ndarray" or _name(node) in _SCALARS)
        if node["type"] == "numpy":
            _only(type(node["file"]) is str)
            return
        _only(node["type"] == "json" and node["shape"]["__loader__"] == "TupleNode")
        self.check(node["shape"])
        for inner in node["content"]:
            self.check(inner)

    def object(self, node: Node) -> None:
        _only(_name(node) in self._trusted)
        if node.get("content") is not None:
            self.check(node["content"])

    def tree(self, node: Node) -> None:
        _only(_name(node) == _TREE and node["__reduce__"]["args"]["__loader__"] == "TupleNode")
        self.check(node["__reduce__"]["args"])
        self.check(node["content"])

    def loss(self, node: Node) -> None:
        """Made from numbers alone: `content`, a state to set, is always empty."""
        _only(_name(node) in LOSSES and not node["content"]["content"])
        _only(node["content"]["__loader__"] in ("DictNode", "TupleNode"))
        args = node["__reduce__"]["args"]
        _only(args["__loader__"] == "TupleNode" and all(arg["__loader__"] == "JsonNode" for arg in args["content"]))
        self.check(args)

    def random_state(self, node: Node) -> None:
        _only(_name(node) == _RANDOM_STATE and node["content"]["__loader__"] == "DictNode")
        self.check(node["content"])

    def generator(self, node: Node) -> None:
        bits, seed = node["content"]["bit_generator"], node["content"]["seed_seq"]
        _only(_name(node) == _GENERATOR and bits["__loader__"] == seed["__loader__"] == "DictNode")
        self.check(bits)
        self.check(seed)
        _only(json.loads(bits["content"]["bit_generator"]["content"]) in _BIT_GENERATORS)
        _only(seed["content"].keys() <= _SEED)
        _only(json.loads(seed["content"]["pool_size"]["content"]) == _POOL_SIZE)


def _is_ufunc(node: Node) -> bool:
    return node["__module__"] == "numpy" and isinstance(getattr(np, node["__class__"], None), np.ufunc)


class _Builder:
    """Makes what a checked description describes. What it names twice, by the same number, is one object."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        # The whole state: what is made already, by its number in the file.
        self._made: dict[int, Any] = {}

    def build(self, node: Node) -> Any:
        number = node.get("__id__")
        if number and number in self._made:
            return self._made[number]
        made = _BUILDS[node["__loader__"]](self, node)
        if number:
            self._made[number] = made
        return made

    def json(self, node: Node) -> Any:
        return json.loads(node["content"])

    def dict(self, node: Node) -> Any:
        content = self.named(node)()
        types = self.build(node["key_types"])
        for make, (key, value) in zip(types, node["content"].items(), strict=True):
            content[make(key)] = self.build(value)
        return content

    def list(self, node: Node) -> Any:
        return [self.build(inner) for inner in node["content"]]

    def tuple(self, node: Node) -> Any:
        return tuple(self.build(inner) for inner in node["content"])

    def type(self, node: Node) -> Any:
        return _PRIMITIVES.get(_name(node)) or _SCALARS[_name(node)]

    def named(self, node: Node) -> Any:
        return getattr(import_module(node["__module__"]), node["__class__"])

    def dtype(self, node: Node) -> Any:
        return self.build(node["content"]).dtype

    def array(self, node: Node) -> Any:
        if node["type"] == "numpy":
            stored = BytesIO(read_member(self._archive, node["file"]))
            array = np.lib.format.read_array(stored, allow_pickle=False)
            return array if node["__class__"] == "ndarray" else _SCALARS[_name(node)](array)
        cells = [self.build(inner) for inner in node["content"]]
        if len(self.build(node["shape"])) != 1:
            return np.array(cells, dtype="O")
        column = np.ndarray(shape=len(cells), dtype="O")
        for place, cell in enumerate(cells):
            column[place] = cell
        return column

    def object(self, node: Node) -> Any:
        kind = self.named(node)
        instance = kind.__new__(kind)
        attributes = None if node.get("content") is None else self.build(node["content"])
        if attributes is None:
            return instance
        if hasattr(instance, "__setstate__"):
            instance.__setstate__(attributes)
        else:
            instance.__dict__.update(attributes)
        return instance

    def tree(self, node: Node) -> Any:
        tree = self.named(node)(*self.build(node["__reduce__"]["args"]))
        if attributes := self.build(node["content"]):
            tree.__setstate__(attributes)
        return tree

    def loss(self, node: Node) -> Any:
        return self.named(node)(*self.build(node["__reduce__"]["args"]))

    def random_state(self, node: Node) -> Any:
        state = np.random.RandomState()
        state.set_state(self.build(node["content"]))
        return state

    def generator(self, node: Node) -> Any:
        state = self.build(node["content"]["bit_generator"])
        seed = np.random.SeedSequence(**self.build(node["content"]["seed_seq"]))
        bits = getattr(np.random, state["bit_generator"])(seed)
        bits.state = state
        return np.random.Generator(bits)


_CHECKS: dict[str, Callable[[_Check, Node], None]] = {
    "JsonNode": _Check.json,
    "DictNode": _Check.dict,
    "ListNode": _Check.list,
    "TupleNode": _Check.tuple,
    "TypeNode": _Check.type,
    "FunctionNode": _Check.function,
    "DTypeNode": _Check.dtype,
    "NdArrayNode": _Check.array,
    "ObjectNode": _Check.object,
    "TreeNode": _Check.tree,
    "LossNode": _Check.loss,
    "RandomStateNode": _Check.random_state,
    "RandomGeneratorNode": _Check.generator,
}
_BUILDS: dict[str, Callable[[_Builder, Node], Any]] = {
    "JsonNode": _Builder.json,
    "DictNode": _Builder.dict,
    "ListNode": _Builder.list,
    "TupleNode": _Builder.tuple,
    "TypeNode": _Builder.type,
    "FunctionNode": _Builder.named,
    "DTypeNode": _Builder.dtype,
    "NdArrayNode": _Builder.array,
    "ObjectNode": _Builder.object,
    "TreeNode": _Builder.tree,
    "LossNode": _Builder.loss,
    "RandomStateNode": _Builder.random_state,
    "RandomGeneratorNode": _Builder.generator,
}
