"""The description inside a skops file, read as data: which objects it holds, and what their attributes are.

Nothing is imported or made. skops finds an object that comes twice by its number, and takes the first description for
both, so a file whose descriptions of one number differ is refused: what is looked at here is then what is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias
from zipfile import ZipFile

import numpy as np

from penstock.error_text import text_of
from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn.skops_archive import open_archive, read_schema
from penstock.payload import clipped

# One object of a file's description.
Node: TypeAlias = Mapping[str, Any]

_UNKNOWN = object()

_MOST_AXES = 8


@dataclass(frozen=True, slots=True)
class DescribedObject:
    """One object: the full name of its type, how skops makes it, and the nodes of its attributes."""

    type: str
    loader: str
    attributes: Mapping[str, Node]
    archive: ZipFile = field(repr=False)

    def plain(self, name: str, default: Any = None) -> Any:
        """The attribute's value where it is plain (None, a number, text, a list of them); `default` where there is no
        such attribute, NotImplemented where it is anything else."""
        node = self.attributes.get(name)
        if node is None:
            return default
        value = _plain(node)
        return NotImplemented if value is _UNKNOWN else value

    def arrays(self, name: str) -> Iterator[tuple[int, ...]]:
        """The shapes of the arrays that the attribute is, or holds in lists; a list of plain values is one, too, since
        numpy takes it for one."""
        node = self.attributes.get(name)
        waiting = [] if node is None else [node]
        while waiting:
            one = waiting.pop()
            loader, kind = one.get("__loader__"), f"{one.get('__module__')}.{one.get('__class__')}"
            if loader in ("ListNode", "TupleNode") or (loader == "NdArrayNode" and one.get("type") == "json"):
                items = [inner for inner in one["content"] if isinstance(inner, dict)]
                if loader == "NdArrayNode" or any(inner.get("__loader__") == "JsonNode" for inner in items):
                    yield (len(one["content"]),)
                waiting += items
            elif loader == "JsonNode":
                value = json.loads(one["content"])
                if isinstance(value, list):
                    yield (_count(value),)
            elif loader in ("NdArrayNode", "SparseMatrixNode"):
                yield stored_shape(self.archive, str(one["file"]))
            elif kind.startswith("scipy.sparse."):
                yield _sparse_shape(_attributes(one))


def described_objects(path: Path) -> list[DescribedObject]:
    """All objects that the file describes, outer before inner. Raises ArtifactInvalid."""
    try:
        archive = open_archive(path)
        return list(_walk(json.loads(read_schema(archive)), archive))
    except ArtifactInvalid:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        raise ArtifactInvalid(f"{path.name} is damaged or not a skops file: {clipped(text_of(error), 200)}.") from error


def _walk(schema: Any, archive: ZipFile) -> Iterator[DescribedObject]:
    numbered: dict[int, Node] = {}
    waiting: list[Any] = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += reversed(one)
        if not isinstance(one, dict):
            continue
        waiting += reversed(list(one.values()))
        if "__loader__" not in one:
            continue
        number = one.get("__id__")
        if one["__loader__"] == "CachedNode" or not _same(
            numbered.setdefault(number, one) if number else one, one, archive
        ):
            raise ArtifactInvalid("The skops file describes one object in two ways.", hint="The file is forged.")
        yield DescribedObject(f"{one['__module__']}.{one['__class__']}", one["__loader__"], _attributes(one), archive)


def _same(one: Any, other: Any, archive: ZipFile) -> bool:
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            _same_shape(one[k], other[k], archive) if k == "file" else k == "__id__" or _same(one[k], other[k], archive)
            for k in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b, archive) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def _same_shape(file: Any, other: Any, archive: ZipFile) -> bool:
    """skops writes an array that it makes anew for each description, such as a generator's state, to a new file."""
    return bool(file == other) or stored_shape(archive, str(file)) == stored_shape(archive, str(other))


def _attributes(node: Node) -> Mapping[str, Node]:
    """The attributes of an object that is made from a dict of them; of others, which are made from tuples, none."""
    content = node.get("content")
    if node["__loader__"] != "ObjectNode" or content is None:
        return {}
    if content["__loader__"] == "DictNode":
        return content["content"]  # type: ignore[no-any-return]
    if content["__loader__"] == "TupleNode" or (content["__loader__"] == "JsonNode" and content["content"] == "null"):
        return {}
    raise ArtifactInvalid(
        f"The skops file describes a {node['__class__']} in a way that skops does not write.",
        hint="The file is forged.",
    )


def _plain(node: Node) -> Any:
    if node.get("__loader__") == "JsonNode":
        return json.loads(node["content"])
    if node.get("__loader__") in ("ListNode", "TupleNode"):
        values = [_plain(inner) for inner in node["content"]]
        return _UNKNOWN if any(value is _UNKNOWN for value in values) else values
    return _UNKNOWN


def _count(value: list[Any]) -> int:
    """The values in a list of lists."""
    return sum(_count(inner) if isinstance(inner, list) else 1 for inner in value)


def _sparse_shape(attributes: Mapping[str, Node]) -> tuple[int, ...]:
    shape = _plain(attributes["_shape"])
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise ArtifactInvalid("The skops file describes a matrix without a shape.", hint="The file is forged.")
    return tuple(shape)


def stored_shape(archive: ZipFile, file: str) -> tuple[int, ...]:
    """The shape of an array in the file, from its header alone; of a sparse one, which is an archive of its own, from
    the member that states it."""
    with archive.open(file) as stored:
        if not file.endswith(".npz"):
            return _header(stored)[0]
        with ZipFile(stored) as parts, parts.open("shape.npy") as stated:
            (count,), dtype = _header(stated)
            if count > _MOST_AXES or dtype.kind not in "iu":
                raise ArtifactInvalid("The skops file describes a matrix without a shape.", hint="The file is forged.")
            return tuple(np.frombuffer(stated.read(count * dtype.itemsize), dtype).tolist())


def _header(stored: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stored)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stored)
    return shape, dtype
