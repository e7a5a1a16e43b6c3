"""Which kind of tree a place is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from penstock.artifacts.object_tree import ObjectTree
from penstock.artifacts.trees import ArtifactTree, LocalTree


def open_tree(place: str) -> ArtifactTree:
    """At a directory or a store's URL. Connects to nothing."""
    if "://" in place and not place.startswith("file:"):
        return ObjectTree(place)
    return LocalTree(Path(unquote(place.removeprefix("file://").removeprefix("file:"))))
