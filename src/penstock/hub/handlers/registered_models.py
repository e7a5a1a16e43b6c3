"""Registered models and their aliases: `/mlflow/registered-models/…`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.errors import AliasNotFound, TrackingInvalid
from penstock.hub.answers import EMPTY, HubAnswer, json_answer
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields, as_mapping
from penstock.hub.registry.answering import by_of
from penstock.hub.registry.registry_json import model_json, version_json
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute, mlflow_route
from penstock.registry import ModelVersion, RegisteredModel, Registry, check_alias
from penstock.registry.entries import STAGES, ModelQuery, Stage

_STAGES: dict[str, Stage] = {stage.lower(): stage for stage in STAGES}


async def create(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    name, description = fields.required("name"), fields.text("description")
    tags, by = as_mapping(fields.pairs("tags")), by_of(request)
    return await _told(hub, lambda r: r.create_model(name, description=description, tags=tags, by=by))


async def get(hub: HubContext, request: HubRequest) -> HubAnswer:
    name = request.fields.required("name")
    return await _told(hub, lambda r: r.model(name))


async def update(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, description = request.fields.required("name"), request.fields.text("description")

    def change(registry: Registry) -> RegisteredModel:
        registry.describe(name, description, by=request.caller.name)
        return registry.model(name)

    return await _told(hub, change)


async def rename(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, new_name = request.fields.required("name"), request.fields.required("new_name")
    return await _told(hub, lambda r: r.rename(name, new_name, by=request.caller.name))


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    registry, name = hub.stores.registry, request.fields.required("name")
    await hub.stores.read(lambda: registry.delete(name, with_aliases=True, by=request.caller.name))
    return EMPTY


async def search(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, registry = request.fields, hub.stores.registry
    query = ModelQuery(
        fields.text("filter"),
        tuple(fields.texts("order_by")),
        fields.integer("max_results", 100),
        fields.text("page_token"),
    )

    def ask() -> HubAnswer:
        page = registry.find_models(query)
        latest = registry.latest_of_stages([model.name for model in page])
        found = [model_json(model, latest[model.name], registry.artifact_root) for model in page]
        return json_answer({"registered_models": found, **_next(page.next_token)} if found else _next(page.next_token))

    return await hub.stores.read(ask)


async def latest_versions(hub: HubContext, request: HubRequest) -> HubAnswer:
    registry, name = hub.stores.registry, request.fields.required("name")
    stages = [stage_of(text) for text in request.fields.texts("stages")] or STAGES

    def ask() -> HubAnswer:
        registry.model(name)
        latest = registry.latest_of_stages([name])[name]
        found = [version_json(each, registry.artifact_root) for each in latest if each.stage in stages]
        return json_answer({"model_versions": found} if found else {})

    return await hub.stores.read(ask)


async def set_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, registry = request.fields, hub.stores.registry
    name, key, value = fields.required("name"), fields.required("key"), fields.text("value")
    await hub.stores.read(lambda: registry.set_tag(name, key, value, by=request.caller.name))
    return EMPTY


async def delete_tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    registry, name, key = hub.stores.registry, request.fields.required("name"), request.fields.required("key")
    await hub.stores.read(lambda: registry.delete_tag(name, key, by=request.caller.name))
    return EMPTY


async def set_alias(hub: HubContext, request: HubRequest) -> HubAnswer:
    """Signatures are not compared: MLflow's client has no way to say that a change is meant."""
    fields, registry, by = request.fields, hub.stores.registry, request.caller.name
    name, alias, version = fields.required("name"), fields.required("alias"), version_of(fields)
    await hub.stores.read(lambda: registry.promote(name, version, alias, by=by, allow_breaking=True))
    return EMPTY


async def get_alias(hub: HubContext, request: HubRequest) -> HubAnswer:
    registry, name, alias = hub.stores.registry, request.fields.required("name"), request.fields.required("alias")

    def ask() -> ModelVersion:
        if alias.lower() == "latest":
            return registry.latest(name)
        check_alias(alias)
        return registry.resolve(name, alias)

    found = await hub.stores.read(ask)
    return json_answer({"model_version": version_json(found, registry.artifact_root)})


async def delete_alias(hub: HubContext, request: HubRequest) -> HubAnswer:
    """One that is not there is no error, as in MLflow."""
    registry, name, alias = hub.stores.registry, request.fields.required("name"), request.fields.required("alias")

    def change() -> None:
        check_alias(alias)
        try:
            registry.remove_alias(name, alias, by=request.caller.name)
        except AliasNotFound:
            return

    await hub.stores.read(change)
    return EMPTY


def stage_of(text: str) -> Stage:
    """In any case. Raises TrackingInvalid."""
    found = _STAGES.get(text.lower())
    if found is None:
        raise TrackingInvalid(
            f"Invalid Model Version stage: {text[:100]!a}. Value must be one of {', '.join(STAGES)}.", field="stage"
        )
    return found


def version_of(fields: Fields) -> str:
    """The number of a version, as the registry has it. Raises TrackingInvalid for what is no number."""
    text = fields.required("version").strip()
    if not text.lstrip("+-").isdecimal() or not text.isascii() or len(text) > 20:
        raise TrackingInvalid(f"Parameter 'version' must be an integer, got {text[:100]!a}.", field="version")
    return str(int(text))


async def _told(hub: HubContext, ask: Callable[[Registry], RegisteredModel]) -> HubAnswer:
    registry = hub.stores.registry

    def answer() -> HubAnswer:
        model = ask(registry)
        latest = registry.latest_of_stages([model.name])[model.name]
        return json_answer({"registered_model": model_json(model, latest, registry.artifact_root)})

    return await hub.stores.read(answer)


def _next(token: str) -> dict[str, str]:
    return {"next_page_token": token} if token else {}


ROUTES: Sequence[HubRoute] = (
    mlflow_route("POST", "registered-models/create", "write", create),
    mlflow_route("GET", "registered-models/get", "read", get),
    mlflow_route("GET", "registered-models/search", "read", search),
    mlflow_route("PATCH", "registered-models/update", "write", update),
    mlflow_route("POST", "registered-models/rename", "admin", rename),
    mlflow_route("DELETE", "registered-models/delete", "admin", delete),
    mlflow_route("GET POST", "registered-models/get-latest-versions", "read", latest_versions),
    mlflow_route("POST", "registered-models/set-tag", "write", set_tag),
    mlflow_route("DELETE", "registered-models/delete-tag", "write", delete_tag),
    mlflow_route("POST", "registered-models/alias", "promote", set_alias),
    mlflow_route("GET", "registered-models/alias", "read", get_alias),
    mlflow_route("DELETE", "registered-models/alias", "promote", delete_alias),
)
