"""Packages below the hub's artifacts that no version has: sent and not registered, or left by a version that is gone.

They are at NAME/DIGEST. One that was written to since yesterday may be about to be registered, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.artifacts.trees import ArtifactTree
from penstock.hub.gc.plan import Kept
from penstock.hub.gc.protected import ProtectedPlaces

# A package that is complete, and one that a registration was cut off at while it was copied in.
_PACKAGE = re.compile(r"(?:[0-9a-f]{64}|\.[0-9a-f]{64}\.[^/]+)")


def find_packages(tree: ArtifactTree, protected: ProtectedPlaces, before: float, kept: list[Kept]) -> Iterator[str]:
    """Those to which nothing was written since `before`, in seconds since 1970."""
    for model in tree.entries(""):
        if model.size is not None:
            continue
        for entry in tree.entries(model.name):
            path = f"{model.name}/{entry.name}"
            if entry.size is not None or not _PACKAGE.fullmatch(entry.name) or protected.covers(path):
                continue
            at = tree.written_at(path)
            if at is not None and at <= before:
                yield path
            else:
                kept.append(Kept(f"package {path}", "no version has it, but it was written to lately"))
