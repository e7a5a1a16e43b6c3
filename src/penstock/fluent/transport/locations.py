"""Where a run's files are: what its artifact URI says, and writing below it where that is this machine's own disk."""

from __future__ import annotations

import os
import posixpath
import shutil
import uuid
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from penstock.errors import TrackingInvalid, TrackingRefused, TrackingUnavailable


def checked_path(path: str) -> str:
    """A path of an artifact: relative and normal. Raises TrackingInvalid."""
    if not path or path.startswith("/") or posixpath.normpath(path) != path or path.split("/")[0] in ("..", "."):
        raise TrackingInvalid(
            f"Invalid artifact path: {path[:200]!r}.",
            hint="Artifact paths are relative, without '.', '..' and doubled slashes.",
            field="artifact_path",
        )
    return path


def proxied_path_of(uri: str, place: str) -> str:
    """The path at the server that keeps files for its clients. Raises TrackingRefused for files that are elsewhere."""
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts" and (not parts.netloc or place.partition("://")[2].startswith(parts.netloc)):
        return unquote(parts.path).strip("/")
    raise TrackingRefused(
        f"Files of this run are kept at {parts.scheme}:, to which this client does not write.",
        hint="Files go through a hub, or through an MLflow server that serves artifacts.",
    )


def local_path_of(uri: str) -> str | None:
    """The directory that a URI names on this machine; None where it names another place."""
    if "://" not in uri and not uri.startswith(("file:", "mlflow-artifacts:")):
        return uri
    return unquote(urlsplit(uri).path) if uri.startswith("file:") else None


def list_local(directory: str, path: str) -> list[dict[str, Any]]:
    """What is in a directory below, in the form of MLflow's REST; nothing for what is none."""
    try:
        entries = sorted(os.scandir(os.path.join(directory, path)), key=lambda entry: entry.name)
    except OSError:
        return []
    return [
        {
            "path": posixpath.join(path, entry.name),
            "is_dir": entry.is_dir(),
            **({} if entry.is_dir() else {"file_size": entry.stat().st_size}),
        }
        for entry in entries
    ]


def write_local(directory: str, path: str, file: BinaryIO) -> None:
    """The file appears whole or not at all. Raises TrackingUnavailable."""
    target = os.path.join(directory, checked_path(path))
    draft = f"{target}.{uuid.uuid4().hex}.part"
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            with open(draft, "wb") as out:
                shutil.copyfileobj(file, out, 1024 * 1024)
            os.replace(draft, target)
        finally:
            if os.path.exists(draft):
                os.unlink(draft)
    except OSError as error:
        raise TrackingUnavailable(f"{target} cannot be written: {error.strerror or error}.") from error
