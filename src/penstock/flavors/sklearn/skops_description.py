"""The description inside a skops file, read as data: which objects it holds, and what their attributes are.

Nothing is imported or made. skops finds an object that comes twice by its number, and takes the first description for
both, so a file whose descriptions of one number differ is refused: what is looked at here is then what is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZipFile

import numpy as np

from penstock.error_text import text_of
from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn.skops_archive import open_archive, read_schema
from penstock.payload import clipped

# One object of a file's description.
Node: TypeAlias = Mapping[str, Any]

_UNKNOWN = object()

# What may differ between two descriptions of one object: the numbers and files of what is made anew each time.
_MADE_ANEW = frozenset({"__id__", "file"})


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
        """The shapes of the arrays that the attribute is, or holds in lists."""
        node = self.attributes.get(name)
        waiting = [] if node is None else [node]
        while waiting:
            one = waiting.pop()
            if one.get("__loader__") in ("ListNode", "TupleNode"):
                waiting += one["content"]
            elif one.get("__loader__") == "NdArrayNode" and one.get("type") == "json":
                yield (len(one["content"]),)
                waiting += [inner for inner in one["content"] if isinstance(inner, dict)]
            elif one.get("__loader__") == "NdArrayNode":
                yield stored_shape(self.archive, str(one["file"]))


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
        if one["__loader__"] == "CachedNode" or not _same(numbered.setdefault(number, one) if number else one, one):
            raise ArtifactInvalid("The skops file describes one object in two ways.", hint="The file is forged.")
        yield DescribedObject(f"{one['__module__']}.{one['__class__']}", one["__loader__"], _attributes(one), archive)


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(k in _MADE_ANEW or _same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


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


def stored_shape(archive: ZipFile, file: str) -> tuple[int, ...]:
    """The shape of an array in the file, from its header alone."""
    with archive.open(file) as stored:
        version = np.lib.format.read_magic(stored)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape: tuple[int, ...] = read(stored)[0]
    return shape
