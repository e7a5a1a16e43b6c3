"""Versions of registered models: `/mlflow/model-versions/…`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from penstock.errors import LoggedModelNotFound, TrackingInvalid
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import as_mapping
from penstock.hub.handlers.registered_models import stage_of, version_of
from penstock.hub.registry.answering import by_of
from penstock.hub.registry.registrations import READING
from penstock.hub.registry.registry_json import version_json
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.hub.version_sources import PROMPT_TAG, GivenSource, SourceFinder, files_uri
from penstock.registry import ModelVersion, NewVersion, Registry
from penstock.registry.entries import ModelKey, VersionQuery
from penstock.tracking.writes import SetLoggedModelTags

# The tag by which a logged model knows its versions.
VERSIONS_TAG = "mlflow.modelVersions"


async def create(hub: HubContext, request: HubRequest) -> HubAnswer:
    """The version is there, and its files read-only, before they are read, and READY after that. Whoever deletes or
    renames the model beside that is not undone: the version is for the model that was asked for, or for none."""
    fields, stores, registry = request.fields, hub.stores, hub.stores.registry
    name, tags = fields.required("name"), as_mapping(fields.pairs("tags"))
    given = GivenSource(
        fields.required("source"),
        fields.text("run_id") if "run_id" in fields else None,
        fields.text("model_id") if "model_id" in fields else None,
        tags.get(PROMPT_TAG, "").lower() == "true",
    )
    description, run_link, by = fields.text("description"), fields.text("run_link"), by_of(request)

    def change() -> tuple[ModelKey, ModelVersion]:
        key = registry.key_of(name)
        found = SourceFinder(stores.tracking, registry, hub.artifacts).find(given)
        is_ours = registry.located(found.place) != found.place
        version = registry.register(
            name,
            NewVersion(
                source=found.place,
                origin=found.origin,
                description=description,
                run_id=found.run_id,
                run_link=run_link,
                logged_model=found.model_id,
                tags=tags,
                registered_by=by,
                of_model=key,
                status="PENDING_REGISTRATION" if is_ours else "READY",
                status_message=READING if is_ours else "",
            ),
        )
        return key, version

    key, version = await stores.read(change)
    if version.status == "PENDING_REGISTRATION":
        version = await hub.registrations.finish(key, version)
    if version.logged_model:
        await _tell_logged_model(hub, version)
    return _answer(registry, version)


async def get(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, version = request.fields.required("name"), version_of(request.fields)
    return await _told(hub, lambda r: r.version(name, version))


async def update(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    name, version, description = fields.required("name"), version_of(fields), fields.text("description")

    def change(registry: Registry) -> ModelVersion:
        registry.describe(name, description, version, by=request.caller.name)
        return registry.version(name, version)

    return await _told(hub, change)


async def transition(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    name, version, stage = fields.required("name"), version_of(fields), stage_of(fields.required("stage"))
    archive, by = fields.flag("archive_existing_versions"), request.caller.name
    if archive and stage not in ("Staging", "Production"):
        raise TrackingInvalid(
            f"Versions can be archived for one that goes to Staging or Production, not to {stage}.",
            field="archive_existing_versions",
        )
    return await _told(hub, lambda r: r.set_stage(name, version, stage, archive_existing=archive, by=by))


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    """Its aliases go with it, as in MLflow."""
    registry, name, version = hub.stores.registry, request.fields.required("name"), version_of(request.fields)
    await hub.stores.read(lambda: registry.delete(name, version, with_aliases=True, by=request.caller.name))
    return EMPTY


async def search(hub: HubContext, request: HubRequest) -> HubAnswer:
    """Without their aliases, as in MLflow."""
    fields, registry = request.fields, hub.stores.registry
    query = VersionQuery(
        fields.text("filter"),
        tuple(fields.texts("order_by")),
        fields.integer("max_results", 10_000),
        fields.text("page_token"),
    )

    def ask() -> HubAnswer:
        page = registry.find_versions(query)
        root = registry.artifact_root
        versions = [version_json(each, root, with_aliases=False) for each in page]
        found = {"model_versions": versions} if versions else {}
        return json_answer({**found, **({"next_page_token": page.next_token} if page.next_token else {})})

    return await hub.stores.read(ask)


async def download_uri(hub: HubContext, request: HubRequest) -> HubAnswer:
    registry, name, version = hub.stores.registry, request.fields.required("name"), version_of(request.fields)
    found = await hub.stores.read(registry.version, name, version)
    return json_answer({"artifact_uri": files_uri(found, registry.artifact_root)})


async def set_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, registry, by = request.fields, hub.stores.registry, request.caller.name
    name, version = fields.required("name"), version_of(fields)
    key, value = fields.required("key"), fields.text("value")
    await hub.stores.read(lambda: registry.set_tag(name, key, value, version, by=by))
    return EMPTY


async def delete_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, registry, by = request.fields, hub.stores.registry, request.caller.name
    name, version, key = fields.required("name"), version_of(fields), fields.required("key")
    await hub.stores.read(lambda: registry.delete_tag(name, key, version, by=by))
    return EMPTY


async def _tell_logged_model(hub: HubContext, version: ModelVersion) -> None:
    try:
        model = await hub.stores.read(hub.stores.tracking.logged_model, version.logged_model)
        before = json.loads(model.tags.get(VERSIONS_TAG) or "[]")
        known = before if isinstance(before, list) else []
        told = json.dumps([*known, {"name": version.name, "version": int(version.version)}])
        await hub.stores.write(SetLoggedModelTags(version.logged_model, {VERSIONS_TAG: told}))
    except (LoggedModelNotFound, ValueError):  # it was deleted meanwhile; a client wrote the tag itself
        return


async def _told(hub: HubContext, ask: Callable[[Registry], ModelVersion]) -> HubAnswer:
    registry = hub.stores.registry
    return _answer(registry, await hub.stores.read(ask, registry))


def _answer(registry: Registry, version: ModelVersion) -> HubAnswer:
    return json_answer({"model_version": version_json(version, registry.artifact_root)})


ROUTES: Sequence[HubRoute] = (
    mlflow_route("POST", "model-versions/create", "write", create),
    mlflow_route("GET", "model-versions/get", "read", get),
    mlflow_route("PATCH", "model-versions/update", "write", update),
    mlflow_route("POST", "model-versions/transition-stage", "promote", transition),
    mlflow_route("DELETE", "model-versions/delete", "admin", delete),
    mlflow_route("GET", "model-versions/search", "read", search),
    mlflow_route("GET", "model-versions/get-download-uri", "read", download_uri),
    mlflow_route("POST", "model-versions/set-tag", "write", set_tag),
    mlflow_route("DELETE", "model-versions/delete-tag", "write", delete_tag),
)
