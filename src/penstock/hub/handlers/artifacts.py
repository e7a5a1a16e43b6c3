"""Files by their place below the hub's artifacts: `/mlflow-artifacts/…`, what clients use where a run's files are with
the hub. Transfers by signed URLs of a store, in parts or whole, are refused in the way that makes MLflow's client send
the file here instead."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.types import Receive, Send

from penstock.artifacts.trees import safe_path
from penstock.errors import TrackingInvalid, Unsupported
from penstock.http.headers import header
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.files.listing import files_json
from penstock.hub.files.places import FilePlace
from penstock.hub.files.sending import send_file
from penstock.hub.files.taking import take_file
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute


async def list_files(hub: HubContext, request: HubRequest) -> HubAnswer:
    """A path that is a file, or is not there, has no files: MLflow's client counts on it."""
    found = await hub.work.run(hub.artifacts.entries, safe_path(request.fields.text("path")))
    return json_answer(files_json(found, ""))


async def download(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    await send_file(hub, _place(hub, request), request, receive, send)


async def upload(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    if request.path["path"].endswith("/"):
        raise TrackingInvalid("The path of the artifact must end in the name of a file.", field="path")
    if header(request.scope, b"content-range") is not None:
        # RFC 9110, 14.5: taken for the whole, a part would replace it.
        raise TrackingInvalid("A file comes whole: Content-Range is not allowed.", hint="PUT all of the file's bytes.")
    await take_file(hub, _place(hub, request), receive, request.scope)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    place = _place(hub, request)
    if not place.path:
        raise TrackingInvalid("The path of the artifact is missing.", field="path")
    async with hub.work.change():
        remove = partial(hub.artifacts.remove, place.path)
        await hub.work.run(partial(hub.stores.registry.change_files, place.known_as, remove, within=True))
    return EMPTY


async def refuse_multipart(hub: HubContext, request: HubRequest) -> HubAnswer:
    safe_path(request.path["path"])
    raise Unsupported(
        "Uploads in parts are not supported: a file comes in one request.",
        hint="PUT it to /mlflow-artifacts/artifacts/.",
    )


async def refuse_presigned(hub: HubContext, request: HubRequest) -> HubAnswer:
    safe_path(request.path["path"])
    raise Unsupported(
        "Signed URLs are not supported: files go through the hub.", hint="GET it from /mlflow-artifacts/artifacts/."
    )


def _place(hub: HubContext, request: HubRequest) -> FilePlace:
    path = safe_path(request.path["path"])
    return FilePlace(hub.artifacts, path, path, is_ours=True)


_ROOT = "/api/2.0/mlflow-artifacts"
_FILE = f"{_ROOT}/artifacts/{{path...}}"

ROUTES: Sequence[HubRoute] = (
    HubRoute(f"{_ROOT}/artifacts", ("GET",), "read", list_files),
    HubRoute(_FILE, ("GET",), "read", stream=download),
    HubRoute(_FILE, ("PUT",), "write", stream=upload),
    HubRoute(_FILE, ("DELETE",), "admin", delete),
    HubRoute(f"{_ROOT}/mpu/create/{{path...}}", ("POST",), "write", refuse_multipart),
    HubRoute(f"{_ROOT}/mpu/complete/{{path...}}", ("POST",), "write", refuse_multipart),
    HubRoute(f"{_ROOT}/mpu/abort/{{path...}}", ("POST",), "write", refuse_multipart),
    HubRoute(f"{_ROOT}/presigned/{{path...}}", ("GET",), "read", refuse_presigned),
)
