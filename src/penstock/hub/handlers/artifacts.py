"""Files of runs and models: `/mlflow-artifacts/artifacts/…`, streamed both ways in constant memory."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO
from urllib.parse import quote

from starlette.types import Receive, Send

from penstock.artifacts.trees import ArtifactTree, OpenedFile, TreeEntry, open_tree, safe_path
from penstock.errors import ArtifactNotFound, ArtifactRegistered, TrackingInvalid
from penstock.http.bodies import ClientLeft
from penstock.http.headers import Header, header
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.tracking.runs import Run

_CHUNK = 1024 * 1024
_PROXIED = "mlflow-artifacts:"
_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")

# Whatever was uploaded is shown by no browser of its own accord, and runs nothing if it is.
_GUARD: tuple[Header, ...] = (
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"accept-ranges", b"bytes"),
)


async def list_proxied(hub: HubContext, request: HubRequest) -> HubAnswer:
    """A path that is a file, or is not there, has no files: MLflow's client counts on it."""
    path = safe_path(request.fields.text("path"))
    found = await hub.stores.with_files(hub.artifacts.entries, path)
    return json_answer({"files": [_entry_json(entry, "") for entry in found]} if found else {})


async def list_of_run(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    path = safe_path(fields.text("path"))
    run = await hub.stores.read(hub.stores.tracking.run, fields.required("run_id", "run_uuid"))
    tree, root = tree_of(hub, run.artifact_uri)
    found = await hub.stores.with_files(tree.entries, _join(root, path))
    listed = {"files": [_entry_json(entry, path) for entry in found]} if found else {}
    return json_answer({"root_uri": run.artifact_uri, **listed})


async def download(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    await _send_file(hub, hub.artifacts, safe_path(request.path["path"]), request, send)


async def get_artifact(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    """What MLflow's pages ask: a file of a run."""
    run: Run = await hub.stores.read(hub.stores.tracking.run, request.fields.required("run_uuid", "run_id"))
    tree, root = tree_of(hub, run.artifact_uri)
    path = safe_path(request.fields.required("path"))
    await _send_file(hub, tree, _join(root, path), request, send)


async def upload(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    path = safe_path(request.path["path"])
    if not path:
        raise TrackingInvalid("The path of the artifact is missing.", field="path")
    await _refuse_registered(hub, path)
    await _take_file(hub, hub.artifacts.new(path), receive)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    path = safe_path(request.path["path"])
    if not path:
        raise TrackingInvalid("The path of the artifact is missing.", field="path")
    await _refuse_registered(hub, path, within=True)
    await hub.stores.with_files(hub.artifacts.remove, path)
    return EMPTY


async def _refuse_registered(hub: HubContext, path: str, *, within: bool = False) -> None:
    """What a version was registered with stays as it was then. Raises ArtifactRegistered."""
    registry = hub.stores.registry
    version = await hub.stores.read(lambda: registry.containing(path, within=within))
    if version is not None:
        raise ArtifactRegistered(
            f"The files of {path[:300]!a} belong to version {version.version} of model {version.name!r}, and cannot be "
            "changed since it was registered.",
            hint="Log the model again, and register that.",
        )


def tree_of(hub: HubContext, artifact_uri: str) -> tuple[ArtifactTree, str]:
    """Where a run's or model's files are: a tree, and the place in it. Raises TrackingInvalid for a place on the disk
    of whoever logged it, which the hub does not read."""
    if artifact_uri.startswith(_PROXIED):
        place = re.sub(r"^mlflow-artifacts:(//[^/]*)?", "", artifact_uri)
        return hub.artifacts, safe_path(place.lstrip("/"))
    if "://" in artifact_uri and not artifact_uri.startswith("file:"):
        return open_tree(artifact_uri), ""
    raise TrackingInvalid(
        f"The artifacts are at {artifact_uri[:200]}, which only the machine that logged them can read.",
        hint="Experiments without an artifact_location of their own keep their files with the hub.",
    )


async def _send_file(hub: HubContext, tree: ArtifactTree, path: str, request: HubRequest, send: Send) -> None:
    if not path:
        raise ArtifactNotFound("No such artifact: the path is empty.")
    opened: OpenedFile = await hub.stores.with_files(tree.open, path)
    try:
        first, last, status = _range(header(request.scope, b"range"), opened.size)
        start = {"type": "http.response.start", "status": status, "headers": _headers(path, first, last, opened.size)}
        if status == 416:
            await send({**start, "headers": [(b"content-range", f"bytes */{opened.size}".encode()), *_GUARD]})
            await send({"type": "http.response.body", "body": b""})
            return
        await send(start)
        left = 0 if request.method == "HEAD" else last - first + 1
        if first and left:
            await hub.stores.with_files(opened.file.seek, first)
        while left > 0:
            piece = await hub.stores.with_files(opened.file.read, min(_CHUNK, left))
            if not piece:
                raise OSError(f"{path} became shorter while it was sent")
            left -= len(piece)
            hub.metrics.sent.inc(len(piece))
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        if not opened.size or request.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
    finally:
        await hub.stores.with_files(opened.file.close)


async def _take_file(hub: HubContext, new: AbstractContextManager[BinaryIO], receive: Receive) -> None:
    """Writes what comes, a piece at a time; the file appears once all of it is there."""
    file = await hub.stores.with_files(new.__enter__)
    try:
        pieces: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            pieces.append(message.get("body", b""))
            hub.metrics.received.inc(len(pieces[-1]))
            more = message.get("more_body", False)
            if sum(map(len, pieces)) >= _CHUNK or not more:
                await hub.stores.with_files(_write_all, file, b"".join(pieces))
                pieces.clear()
    except BaseException as error:
        await hub.stores.with_files(new.__exit__, type(error), error, error.__traceback__)
        raise
    await hub.stores.with_files(new.__exit__, None, None, None)


def _write_all(file: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _range(asked: bytes | None, size: int) -> tuple[int, int, int]:
    """First and last byte, and the status: 206 for a part, 416 for one that is not there; several ranges are all."""
    found = _ONE_RANGE.fullmatch((asked or b"").decode("latin-1").strip())
    if found is None or found.groups() == ("", ""):
        return 0, size - 1, 200
    begin, end = found.groups()
    first = max(0, size - int(end)) if not begin else int(begin)
    last = size - 1 if not begin or not end else min(int(end), size - 1)
    if first >= size or last < first:
        return 0, size - 1, 416
    return first, last, 206


def _headers(path: str, first: int, last: int, size: int) -> list[Header]:
    name = path.rpartition("/")[2]
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    # A page that was uploaded is text: no browser shall take it for one of the hub's.
    text = kind.startswith("text/") or kind in ("application/json", "application/yaml", "application/javascript")
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return [
        (b"content-type", b"text/plain; charset=utf-8" if text else kind.encode()),
        (b"content-length", str(last - first + 1).encode()),
        (b"content-disposition", disposition.encode()),
        *([(b"content-range", f"bytes {first}-{last}/{size}".encode())] if last - first + 1 < size else []),
        *_GUARD,
    ]


def _entry_json(entry: TreeEntry, below: str) -> dict[str, object]:
    path = f"{below}/{entry.name}" if below else entry.name
    if entry.size is None:
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.size}


def _join(root: str, path: str) -> str:
    return "/".join(part for part in (root, path) if part)


_PLACE = "/api/2.0/mlflow-artifacts/artifacts"

ROUTES: Sequence[HubRoute] = (
    HubRoute(_PLACE, ("GET",), "read", list_proxied),
    HubRoute(f"{_PLACE}/{{path...}}", ("GET",), "read", stream=download),
    HubRoute(f"{_PLACE}/{{path...}}", ("PUT",), "write", stream=upload),
    HubRoute(f"{_PLACE}/{{path...}}", ("DELETE",), "admin", delete),
    mlflow_route("GET", "artifacts/list", "read", list_of_run),
    HubRoute("/get-artifact", ("GET",), "read", stream=get_artifact),
)
