"""One request to the hub, as its handlers see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Scope, Send

from penstock.access.principal import Principal
from penstock.errors import TrackingInvalid
from penstock.hub.answers import EMPTY, HubAnswer
from penstock.hub.fields import Fields
from penstock.tracking.writes import Write

if TYPE_CHECKING:
    from penstock.hub.context import HubContext

R = TypeVar("R")


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


@dataclass(frozen=True, slots=True)
class StoreWrite(Generic[R]):
    """A handler that is one write to the tracking store and nothing else: `change` makes it of a request's fields, and
    raises TrackingInvalid; `answer` says what it came to. Such a one needs no coroutine, where a connection can do
    without."""

    change: Callable[[Fields], Write[R]]
    answer: Callable[[R], HubAnswer] = lambda _: EMPTY

    async def __call__(self, hub: HubContext, request: HubRequest) -> HubAnswer:
        return self.answer(await hub.stores.write(self.change(request.fields)))


def check_decoded(text: str, scope: Scope) -> None:
    """Servers put U+FFFD for every byte of a path that is not UTF-8, which makes one name of many. Raises
    TrackingInvalid for a text of the path in which it stands for something else than itself."""
    if "\ufffd" not in text:
        return
    try:
        unquote_to_bytes(scope.get("raw_path") or b"%ff").decode()
    except UnicodeDecodeError:
        raise TrackingInvalid("The path is not UTF-8.", field="path") from None
