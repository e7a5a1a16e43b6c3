"""Versions: `/api/penstock/v1/registry/versions/…`.

A package that a client has sent is registered by its digest: the hub reads the files, and what they say counts, not
what the client says of them. What cannot be checked here, an admin alone may register.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from penstock.access.policy import HUB_POLICY
from penstock.errors import ModelNotFound, PackageNotFound, SealBroken
from penstock.hub.answers import HubAnswer
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields, as_mapping
from penstock.hub.handlers.registered_models import stage_of
from penstock.hub.registry.answering import PAGE, by_of, form_answer, own_route, shown
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute
from penstock.hub.statuses import error_answer
from penstock.hub.version_packages import Patience, package_mark, read_package
from penstock.registry import PRODUCTION, ModelVersion, NewVersion, Registry
from penstock.registry.entries import STATUSES, ModelKey, PackageFacts, VersionQuery


async def list_(hub: HubContext, request: HubRequest) -> HubAnswer:
    """By number, those after `after`, up to a thousand."""
    registry, name, after = hub.stores.registry, request.fields.text("name"), request.fields.integer("after", 0)

    def ask() -> list[ModelVersion]:
        return [each for each in registry.versions(name) if int(each.version) > after]

    found = await hub.stores.read(ask)
    versions = [shown(each, registry.artifact_root) for each in found[:PAGE]]
    return form_answer(versions=versions, more=len(found) > PAGE)


async def get(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, version = request.fields.text("name"), request.fields.text("version")
    return await _told(hub, lambda r: r.version(name, version))


async def resolve(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, alias = request.fields.text("name"), request.fields.text("alias", default=PRODUCTION)
    return await _told(hub, lambda r: r.resolve(name, alias))


async def latest(hub: HubContext, request: HubRequest) -> HubAnswer:
    name = request.fields.text("name")
    return await _told(hub, lambda r: r.latest(name))


async def containing(hub: HubContext, request: HubRequest) -> HubAnswer:
    """The version that has the files at a path, or nothing."""
    registry, path = hub.stores.registry, request.fields.required("path")
    within = request.fields.flag("within") if "within" in request.fields else False
    found = await hub.stores.read(lambda: registry.containing(path, within=within))
    return form_answer(version=None if found is None else shown(found, registry.artifact_root))


async def search(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, registry = request.fields, hub.stores.registry
    order, token = tuple(fields.texts("order_by")), fields.text("page_token")
    query = VersionQuery(fields.text("filter"), order, fields.integer("max_results", PAGE), token)
    page = await hub.stores.read(registry.find_versions, query)
    return form_answer(versions=[shown(each, registry.artifact_root) for each in page], next_page_token=page.next_token)


async def register(hub: HubContext, request: HubRequest) -> HubAnswer:
    """The version is there once all of its package was read, and is what was meant. The model is made with its first
    version; one that was there, and was deleted or renamed while files were read, is not made anew."""
    name, registry = request.fields.text("name"), hub.stores.registry
    key = await hub.stores.read(_key_or_none, registry, name)
    new = replace(_new_version(request.fields), registered_by=by_of(request), of_model=key)
    if new.digest is not None and new.source == f"{name}/{new.digest}":
        version = await _of_package(hub, name, new)
        return form_answer(version=shown(version, registry.artifact_root))
    if not HUB_POLICY.allows(request.caller, "admin"):
        return error_answer(
            403,
            "PERMISSION_DENIED",
            f"The token {request.caller.name!r} may register packages that were sent to the hub, at NAME/DIGEST; a "
            "version with other files needs the role admin.",
        )
    version = await hub.stores.read(registry.register, name, new)
    return form_answer(version=shown(version, registry.artifact_root))


async def _of_package(hub: HubContext, name: str, new: NewVersion) -> ModelVersion:
    """Read before there is a version: whoever is cut off meanwhile leaves none, and may begin again. Whether the files
    are what was read is seen once they change no more, which takes a moment, in which the version is not READY."""
    registry, artifacts = hub.stores.registry, hub.artifacts
    mark = await hub.work.run_long(package_mark, artifacts, new.source, Patience())
    facts = await hub.work.run_long(read_package, artifacts, new.source, Patience())
    _check(new, facts)

    def add() -> tuple[ModelKey, ModelVersion]:
        added = registry.register(name, replace(new, digest=None, status="PENDING_REGISTRATION"))
        return registry.key_of(name) if new.of_model is None else new.of_model, added

    key, version = await hub.stores.read(add)
    await hub.registrations.await_changes()
    if mark == await hub.work.run_long(package_mark, artifacts, new.source, Patience()):
        return await hub.stores.read(registry.record_package, key, version.version, facts)
    await hub.stores.read(lambda: registry.delete(name, version.version, with_aliases=True, by=new.registered_by))
    raise SealBroken(
        f"The files at {new.source[:300]!a} were changed by somebody else while they were registered.",
        hint="Send them again, and then register the package.",
    )


async def record_package(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields = request.fields
    name, version, digest = fields.text("name"), fields.text("version"), fields.required("digest")
    facts = PackageFacts(digest, _signature(fields), tuple(fields.texts("flavors")), fields.integer("size_bytes", 0))
    return await _told(hub, lambda r: r.record_package(name, version, facts))


async def set_stage(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, by = request.fields, by_of(request)
    name, version, stage = fields.text("name"), fields.text("version"), stage_of(fields.required("stage"))
    archive = fields.flag("archive_existing") if "archive_existing" in fields else False
    return await _told(hub, lambda r: r.set_stage(name, version, stage, archive_existing=archive, by=by))


def _key_or_none(registry: Registry, name: str) -> ModelKey | None:
    try:
        return registry.key_of(name)
    except ModelNotFound:
        return None


def _new_version(fields: Fields) -> NewVersion:
    return NewVersion(
        source=fields.required("source"),
        digest=fields.text("digest") or None,
        signature=_signature(fields),
        flavors=tuple(fields.texts("flavors")),
        size_bytes=fields.integer("size_bytes", 0),
        description=fields.text("description"),
        run_id=fields.text("run_id"),
        tags=as_mapping(fields.pairs("tags")),
        origin=fields.text("origin"),
        run_link=fields.text("run_link"),
        logged_model=fields.text("logged_model"),
        status=fields.choice("status", STATUSES) or "READY",
        status_message=fields.text("status_message"),
    )


def _signature(fields: Fields) -> dict[str, object] | None:
    return dict(fields.inner("signature").values) if "signature" in fields else None


def _check(new: NewVersion, facts: PackageFacts | None) -> None:
    """Raises PackageNotFound, SealBroken."""
    if facts is None:
        raise PackageNotFound(
            f"There is no package at {new.source[:300]!a} in the hub's artifacts, or none that can be read.",
            hint="Send its files first, and then register it.",
        )
    if facts.digest != new.digest:
        raise SealBroken(
            f"The files at {new.source[:300]!a} are another package: their digest is {facts.digest[:12]}.",
            hint="Send them again, and then register the package.",
        )


async def _told(hub: HubContext, ask: Callable[[Registry], ModelVersion]) -> HubAnswer:
    registry = hub.stores.registry
    version = await hub.stores.read(ask, registry)
    return form_answer(version=shown(version, registry.artifact_root))


ROUTES: Sequence[HubRoute] = (
    own_route("GET", "versions/list", "read", list_),
    own_route("GET", "versions/get", "read", get),
    own_route("GET", "versions/resolve", "read", resolve),
    own_route("GET", "versions/latest", "read", latest),
    own_route("GET", "versions/containing", "read", containing),
    own_route("GET", "versions/search", "read", search),
    own_route("POST", "versions/register", "write", register),
    own_route("POST", "versions/record-package", "admin", record_package),
    own_route("POST", "versions/set-stage", "promote", set_stage),
)
