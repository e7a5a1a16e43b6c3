"""Models: `/api/penstock/v1/registry/models/…`, with tags and descriptions, which versions have as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from penstock.hub.answers import EMPTY, HubAnswer
from penstock.hub.context import HubContext
from penstock.hub.fields import as_mapping
from penstock.hub.registry.answering import PAGE, by_of, form_answer, own_route, shown, version_or_none
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute
from penstock.registry import PRODUCTION, Registry
from penstock.registry.entries import ModelQuery


async def list_(hub: HubContext, request: HubRequest) -> HubAnswer:
    """By name, those after `after`, up to a thousand."""
    after = request.fields.text("after")
    found = await hub.stores.read(lambda: [model for model in hub.stores.registry.models() if model.name > after])
    return form_answer(models=found[:PAGE], more=len(found) > PAGE)


async def get(hub: HubContext, request: HubRequest) -> HubAnswer:
    return form_answer(model=await hub.stores.read(hub.stores.registry.model, request.fields.text("name")))


async def history(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, alias = request.fields.text("name"), request.fields.text("alias")
    return form_answer(moves=await hub.stores.read(hub.stores.registry.history, name, alias or None))


async def changes(hub: HubContext, request: HubRequest) -> HubAnswer:
    return form_answer(changes=await hub.stores.read(hub.stores.registry.changes, request.fields.text("name")))


async def matching(hub: HubContext, request: HubRequest) -> HubAnswer:
    """The version that the alias names, of each model that matches the pattern."""
    pattern, alias = request.fields.required("pattern"), request.fields.text("alias", default=PRODUCTION)
    return form_answer(versions=await hub.stores.read(hub.stores.registry.search, pattern, alias))


async def search(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    order, token = tuple(fields.texts("order_by")), fields.text("page_token")
    query = ModelQuery(fields.text("filter"), order, fields.integer("max_results", 100), token)
    page = await hub.stores.read(hub.stores.registry.find_models, query)
    return form_answer(models=page.items, next_page_token=page.next_token)


async def latest_of_stages(hub: HubContext, request: HubRequest) -> HubAnswer:
    registry, names = hub.stores.registry, request.fields.texts("name")

    def ask() -> dict[str, Any]:
        latest = registry.latest_of_stages(names)
        return {name: [shown(each, registry.artifact_root) for each in found] for name, found in latest.items()}

    return form_answer(latest=await hub.stores.read(ask))


async def create(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, by = request.fields, by_of(request)
    name, description, tags = fields.text("name"), fields.text("description"), as_mapping(fields.pairs("tags"))

    def change(registry: Registry) -> object:
        return registry.create_model(name, description=description, tags=tags, by=by)

    return form_answer(model=await hub.stores.read(change, hub.stores.registry))


async def rename(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, new_name, by = request.fields.text("name"), request.fields.text("new_name"), by_of(request)

    def change(registry: Registry) -> object:
        return registry.rename(name, new_name, by=by)

    return form_answer(model=await hub.stores.read(change, hub.stores.registry))


async def delete(hub: HubContext, request: HubRequest) -> HubAnswer:
    """One version, or the model. Aliases stay in the way, unless they are to go as well."""
    name, version, by = request.fields.text("name"), version_or_none(request.fields), by_of(request)
    with_aliases = request.fields.flag("with_aliases") if "with_aliases" in request.fields else False
    return await _changed(hub, lambda r: r.delete(name, version, with_aliases=with_aliases, by=by))


async def describe(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, version, by = request.fields.text("name"), version_or_none(request.fields), by_of(request)
    text = request.fields.text("description")
    return await _changed(hub, lambda r: r.describe(name, text, version, by=by))


async def tag(hub: HubContext, request: HubRequest) -> HubAnswer:
    """Without a value the tag goes."""
    fields, by = request.fields, by_of(request)
    name, version, key = fields.text("name"), version_or_none(fields), fields.text("key")
    if "value" in fields:
        value = fields.text("value")
        return await _changed(hub, lambda r: r.set_tag(name, key, value, version, by=by))
    return await _changed(hub, lambda r: r.delete_tag(name, key, version, by=by))


async def _changed(hub: HubContext, change: Callable[[Registry], None]) -> HubAnswer:
    await hub.stores.read(change, hub.stores.registry)
    return EMPTY


ROUTES: Sequence[HubRoute] = (
    own_route("GET", "models/list", "read", list_),
    own_route("GET", "models/get", "read", get),
    own_route("GET", "models/history", "read", history),
    own_route("GET", "models/changes", "read", changes),
    own_route("GET", "models/matching", "read", matching),
    own_route("GET", "models/search", "read", search),
    own_route("GET", "models/latest-of-stages", "read", latest_of_stages),
    own_route("POST", "models/create", "write", create),
    own_route("POST", "models/rename", "admin", rename),
    own_route("POST", "models/delete", "admin", delete),
    own_route("POST", "descriptions/set", "write", describe),
    own_route("POST", "tags/set", "write", tag),
)
