"""Aliases: `/api/penstock/v1/registry/aliases/…`. Signatures are compared here, where the alias moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.errors import TrackingInvalid
from penstock.hub.answers import HubAnswer
from penstock.hub.context import HubContext
from penstock.hub.registry.alias_watch import MAX_WAIT
from penstock.hub.registry.answering import by_of, form_answer, own_route
from penstock.hub.requests import HubRequest
from penstock.hub.routes import HubRoute
from penstock.registry import PRODUCTION, AliasMove, Registry


async def promote(hub: HubContext, request: HubRequest) -> HubAnswer:
    fields, by = request.fields, by_of(request)
    name, version, reason = fields.text("name"), fields.text("version"), fields.text("reason")
    alias = fields.text("alias", default=PRODUCTION)
    allow = fields.flag("allow_breaking") if "allow_breaking" in fields else False
    return await _moved(hub, lambda r: r.promote(name, version, alias, by=by, reason=reason, allow_breaking=allow))


async def rollback(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, by, reason = request.fields.text("name"), by_of(request), request.fields.text("reason")
    alias = request.fields.text("alias", default=PRODUCTION)
    return await _moved(hub, lambda r: r.rollback(name, alias, by=by, reason=reason))


async def remove(hub: HubContext, request: HubRequest) -> HubAnswer:
    name, by, reason = request.fields.text("name"), by_of(request), request.fields.text("reason")
    alias = request.fields.required("alias")
    return await _moved(hub, lambda r: r.remove_alias(name, alias, by=by, reason=reason))


async def state(hub: HubContext, request: HubRequest) -> HubAnswer:
    """A text for what all aliases name now. With `after`, once it is another one than that, or after `seconds`."""
    fields = request.fields
    if "after" not in fields:
        return form_answer(state=await hub.stores.read(hub.stores.registry.aliases_state))
    seconds = fields.number("seconds") if "seconds" in fields else MAX_WAIT
    if not 0 <= seconds <= MAX_WAIT:
        raise TrackingInvalid(f"Parameter 'seconds' must be from 0 to {MAX_WAIT:g}.", field="seconds")
    return form_answer(state=await hub.aliases.wait(fields.text("after"), seconds))


async def _moved(hub: HubContext, change: Callable[[Registry], AliasMove]) -> HubAnswer:
    return form_answer(move=await hub.stores.read(change, hub.stores.registry))


ROUTES: Sequence[HubRoute] = (
    own_route("GET", "aliases/state", "read", state),
    own_route("POST", "aliases/promote", "promote", promote),
    own_route("POST", "aliases/rollback", "promote", rollback),
    own_route("POST", "aliases/remove", "promote", remove),
)
