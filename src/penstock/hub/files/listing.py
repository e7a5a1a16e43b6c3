"""Lists of files in MLflow's form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock.artifacts.trees import TreeEntry


def files_json(entries: Iterable[TreeEntry], below: str) -> dict[str, Any]:
    """Paths are those of the names below a directory; an empty list is no field at all."""
    files = [_entry_json(entry, f"{below}/{entry.name}" if below else entry.name) for entry in entries]
    return {"files": files} if files else {}


def _entry_json(entry: TreeEntry, path: str) -> dict[str, Any]:
    if entry.size is None:
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.size}
