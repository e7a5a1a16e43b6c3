"""Skops files for tests, and files in which somebody changed a number, a name or an array."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import skops.io


def written(directory: Path, estimator: Any) -> Path:
    path = directory / "model.skops"
    skops.io.dump(estimator, path)
    return path


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The file with each member changed."""
    with ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, change(name, content))
    return path


def described(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The file with another description."""

    def edit(name: str, content: bytes) -> bytes:
        if name != "schema.json":
            return content
        schema = json.loads(content)
        change(schema)
        return json.dumps(schema).encode()

    return rewritten(path, edit)


def attributes(schema: dict[str, Any], kind: str) -> dict[str, Any]:
    """The attributes of the first object of a type in a description."""
    waiting: list[Any] = [schema]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, dict):
            if one.get("__class__") == kind and one.get("__loader__") == "ObjectNode":
                return one["content"]["content"]  # type: ignore[no-any-return]
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    raise AssertionError(f"no {kind}")


def plain(value: Any) -> dict[str, Any]:
    """The node of a plain value."""
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(value)}


def with_arrays(path: Path, change: Callable[[Any], Any]) -> Path:
    """The file with each stored array given to `change`, which returns another one, or None to leave it."""

    def edit(name: str, content: bytes) -> bytes:
        if not name.endswith(".npy"):
            return content
        changed = change(np.load(io.BytesIO(content)))
        if changed is None:
            return content
        stored = io.BytesIO()
        np.save(stored, changed)
        return stored.getvalue()

    return rewritten(path, edit)
