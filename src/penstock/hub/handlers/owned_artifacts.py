"""Files by whose they are: a run's, a logged model's, a version's. MLflow's pages ask so, wherever the files lie."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import Receive, Send

from penstock.artifacts.trees import safe_path
from penstock.errors import TrackingInvalid, Unsupported
from penstock.http.headers import declared_length
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.bodies.held import HeldBody
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields
from penstock.hub.files.listing import files_json
from penstock.hub.files.places import FilePlace, place_in
from penstock.hub.files.sending import send_file
from penstock.hub.files.taking import take_file
from penstock.hub.handlers.registered_models import version_of
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.hub.version_sources import below

# Bytes of a file that a page uploads.
_MOST_FROM_PAGES = 10 * 1024 * 1024


async def list_of_run(hub: HubContext, request: HubRequest) -> HubAnswer:
    uri = await _uri_of_run(hub, request.fields)
    return await _listed(hub, uri, request.fields.text("path"))


async def list_of_model(hub: HubContext, request: HubRequest) -> HubAnswer:
    uri = await _uri_of_model(hub, request.path["model_id"])
    return await _listed(hub, uri, request.fields.text("artifact_directory_path"))


async def file_of_run(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    path = request.fields.required("path")
    uri = await _uri_of_run(hub, request.fields)
    await _send(hub, uri, path, request, receive, send)


async def file_of_model(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    path = request.fields.required("artifact_file_path")
    uri = await _uri_of_model(hub, request.path["model_id"])
    await _send(hub, uri, path, request, receive, send)


async def file_of_version(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    fields, registry = request.fields, hub.stores.registry
    name, version, path = fields.required("name"), version_of(fields), fields.required("path")
    found = await hub.stores.read(registry.version, name, version)
    place = below(registry.artifact_root, found.source)
    uri = place if place == found.source else f"mlflow-artifacts:/{place}"
    await _send(hub, uri, path, request, receive, send)


async def upload_to_run(hub: HubContext, request: HubRequest, receive: Receive, send: Send) -> None:
    """What MLflow's pages upload, such as tables of an evaluation. Only into the hub's own artifacts: elsewhere the hub
    writes nothing with its credentials for somebody else."""
    path = safe_path(request.fields.required("path"))
    place = place_in(hub, await _uri_of_run(hub, request.fields), path)
    if not path or not place.is_ours:
        raise TrackingInvalid("Files of this run are not uploaded through the hub.", field="path")
    held = HeldBody(hub.bodies, declared_length(request.scope))
    try:
        content = await held.read(request.scope, receive, _MOST_FROM_PAGES)
        if not content:
            raise TrackingInvalid("The request has no file for its body.")

        async def given() -> dict[str, object]:
            return {"type": "http.request", "body": content}

        await take_file(hub, place, given)
    finally:
        held.release()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": EMPTY.body})


async def refuse_signed_upload(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    if ("run_id" in fields) == ("model_id" in fields):
        raise TrackingInvalid("Exactly one of run_id and model_id must be given.", field="run_id")
    safe_path(fields.required("path"))
    model_id = fields.text("model_id")
    raise _unsigned(await (_uri_of_model(hub, model_id) if model_id else _uri_of_run(hub, fields)))


async def refuse_signed_download(hub: HubContext, request: HubRequest) -> HubAnswer:
    safe_path(request.fields.required("path"))
    raise _unsigned(await _uri_of_run(hub, request.fields))


def _unsigned(uri: str) -> Exception:
    if urlsplit(uri).scheme == "mlflow-artifacts":
        return TrackingInvalid("Signed URLs are not supported for files that are with the hub.", field="path")
    return Unsupported("Signed URLs are not supported: clients use credentials of their own.")


async def _uri_of_run(hub: HubContext, fields: Fields) -> str:
    run = await hub.stores.read(hub.stores.tracking.run, fields.required("run_id", "run_uuid"))
    return run.artifact_uri


async def _uri_of_model(hub: HubContext, model_id: str) -> str:
    model = await hub.stores.read(hub.stores.tracking.logged_model, model_id)
    return model.artifact_uri


async def _listed(hub: HubContext, uri: str, path: str) -> HubAnswer:
    place = place_in(hub, uri, path)
    found = await hub.work.run(place.tree.entries, place.path)
    return json_answer({"root_uri": uri, **files_json(found, safe_path(path))})


async def _send(hub: HubContext, uri: str, path: str, request: HubRequest, receive: Receive, send: Send) -> None:
    if request.fields.text("presigned") == "true":
        raise Unsupported("Signed URLs are not supported: files go through the hub.")
    place: FilePlace = place_in(hub, uri, path)
    await send_file(hub, place, request, receive, send)


_PAGES = "/ajax-api/2.0/mlflow"

ROUTES: Sequence[HubRoute] = (
    mlflow_route("GET", "artifacts/list", "read", list_of_run),
    mlflow_route("POST", "artifacts/presigned-upload-url", "write", refuse_signed_upload),
    mlflow_route("POST", "artifacts/presigned-download-url", "read", refuse_signed_download),
    mlflow_route("GET", "logged-models/{model_id}/artifacts/directories", "read", list_of_model),
    HubRoute(f"{_PAGES}/logged-models/{{model_id}}/artifacts/files", ("GET",), "read", stream=file_of_model),
    HubRoute(f"{_PAGES}/upload-artifact", ("POST",), "write", stream=upload_to_run),
    HubRoute("/get-artifact", ("GET",), "read", stream=file_of_run),
    HubRoute("/model-versions/get-artifact", ("GET",), "read", stream=file_of_version),
)
