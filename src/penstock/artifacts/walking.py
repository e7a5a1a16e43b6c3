"""All files below a directory of a tree, one directory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from penstock.artifacts.trees import ArtifactTree


class WalkedFile(NamedTuple):
    """A file by its path below the root of the tree, and its size in bytes."""

    path: str
    size: int


def files_below(tree: ArtifactTree, path: str = "") -> Iterator[WalkedFile]:
    """In the order of the parts of their paths, so that two walks can be compared as they go. What is written or
    removed meanwhile may be among them or not."""
    pending = [iter(tree.entries(path))]
    places = [path]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            places.pop()
            continue
        below = f"{places[-1]}/{entry.name}".lstrip("/")
        if entry.size is None:
            pending.append(iter(tree.entries(below)))
            places.append(below)
        else:
            yield WalkedFile(below, entry.size)
