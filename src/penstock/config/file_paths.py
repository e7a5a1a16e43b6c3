"""Paths in a settings file are relative to that file: it means the same wherever the server is started."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# A drive's letter is no scheme.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")

_SQLITE = "sqlite:///"


def from_here(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The file's content with each path as it is to be read from the working directory. What is no text, or no path, is
    left to whoever checks it."""
    directory = os.path.dirname(os.path.abspath(path))
    if directory == os.getcwd():
        return content
    found = dict(content)
    for name, resolve in _PATHS.items():
        if isinstance(found.get(name), str):
            found[name] = resolve(directory, found[name])
    if "models" in found:
        found["models"] = _models(directory, found["models"])
    return found


def _models(directory: str, models: Any) -> Any:
    if isinstance(models, list):
        return [_reference(directory, text) if isinstance(text, str) else text for text in models]
    if not isinstance(models, Mapping):
        return models
    return {name: _table(directory, name, table) for name, table in models.items()}


def _table(directory: str, name: str, table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table
    model = table.get("model", name)
    return {**table, "model": _model(directory, model)} if isinstance(model, str) else table


def _reference(directory: str, text: str) -> str:
    """An entry of the list: MODEL or NAME=MODEL."""
    name, equals, rest = text.partition("=")
    if equals and name and "/" not in name and not os.path.exists(os.path.join(directory, text)):
        return f"{name}={_model(directory, rest)}"
    return _model(directory, text)


def _model(directory: str, text: str) -> str:
    """What has a slash, or is there beside the file, is a path; any other name is one in the registry, also where the
    working directory happens to have something of that name."""
    if _URL.match(text) or not text:
        return text
    if "/" in text or os.path.exists(os.path.join(directory, text)):
        return _path(directory, text)
    return f"models:/{text}@production" if os.path.exists(text) else text


def _path(directory: str, text: str) -> str:
    """Of `~` there is one, wherever one stands."""
    return text if text.startswith("~") or os.path.isabs(text) else os.path.join(directory, text)


def _place(directory: str, text: str) -> str:
    """A directory, or a URL: SQLite's may hold a relative path."""
    if text.startswith(_SQLITE) and not text.startswith(f"{_SQLITE}/"):
        return _SQLITE + os.path.join(directory, text.removeprefix(_SQLITE))
    return text if _URL.match(text) else _path(directory, text)


_PATHS: Mapping[str, Callable[[str, str], str]] = {
    "registry": _place,
    "artifacts": _place,
    "cache": _path,
    "tokens_file": _path,
    "wheels": _path,
}
