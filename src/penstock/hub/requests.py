"""One request to the hub, as its handlers see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from starlette.types import Receive, Scope, Send

from penstock.access.principal import Principal
from penstock.hub.answers import HubAnswer
from penstock.hub.fields import Fields

if TYPE_CHECKING:
    from penstock.hub.context import HubContext


@dataclass(slots=True)
class HubRequest:
    """`fields` are those of the query for GET, of the body's JSON otherwise; `path` holds the parameters of the
    path."""

    method: str
    path: Mapping[str, str]
    fields: Fields
    scope: Scope
    caller: Principal


# Answers from what is in memory.
Handler: TypeAlias = "Callable[[HubContext, HubRequest], Awaitable[HubAnswer]]"

# Answers piece by piece, and reads the body itself.
StreamHandler: TypeAlias = "Callable[[HubContext, HubRequest, Receive, Send], Awaitable[None]]"
