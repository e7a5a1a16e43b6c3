"""What all calls of the hub's own REST for the registry share: their paths, who did it, how entries and errors look.

Entries are the fields of the registry's own values, times in ISO 8601. An error is MLflow's, with ours beside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from penstock.access.policy import HubNeeds
from penstock.access.principal import ANYBODY
from penstock.errors import PenstockError
from penstock.hub.answers import HubAnswer
from penstock.hub.context import HubContext
from penstock.hub.fields import Fields
from penstock.hub.requests import Handler, HubRequest
from penstock.hub.routes import HubRoute
from penstock.hub.statuses import INTERNAL, answer_of, status_of
from penstock.hub.version_sources import below
from penstock.mlflow_api.told_errors import TOLD, told_form
from penstock.registry import ModelVersion
from penstock.registry.hub.calls import OWN_API
from penstock.registry.hub.forms import ARTIFACTS

# Entries in one answer of a listing.
PAGE = 1000


def own_route(methods: str, path: str, needs: HubNeeds, handler: Handler) -> HubRoute:
    """`path` below `/api/penstock/v1/registry/`."""
    return HubRoute(f"{OWN_API}/{path}", tuple(methods.split()), needs, _telling(handler))


def by_of(request: HubRequest) -> str:
    """Who does it: the token's name. Where no token is asked for, whoever the client says."""
    given = request.fields.text("by")
    return given if given and request.caller is ANYBODY else request.caller.name


def version_or_none(fields: Fields) -> str | None:
    """The version that a change is about; None for the model."""
    return fields.text("version") if "version" in fields else None


def form_answer(**content: Any) -> HubAnswer:
    """Values of the registry, or lists of them, by name."""
    return HubAnswer(orjson.dumps(content))


def shown(version: ModelVersion, root: str) -> ModelVersion:
    """With its source as clients of the hub name it: the hub's own directory is its own business."""
    place = below(root, version.source)
    return version if place == version.source else replace(version, source=f"{ARTIFACTS}/{place}")


def _telling(handler: Handler) -> Handler:
    """The handler, whose errors are told in both forms."""

    async def answer(hub: HubContext, request: HubRequest) -> HubAnswer:
        try:
            return await handler(hub, request)
        except PenstockError as error:
            if status_of(error) is INTERNAL:
                raise
            plain = answer_of(error)
            told = {**orjson.loads(plain.body), TOLD: told_form(error)}
            return plain._replace(body=orjson.dumps(told))

    return answer
