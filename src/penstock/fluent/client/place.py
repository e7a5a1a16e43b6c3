"""What all calls of a client share: the place that they are for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from penstock.fluent.reading import delivered
from penstock.fluent.session import Destination, current_session

_Entry = TypeVar("_Entry")


class PageOf(list[_Entry], Generic[_Entry]):
    """What one call of a search found; `token` asks for what follows, and is None at the end."""

    token: str | None = None


class ClientPlace:
    """`uri` is empty for where the fluent functions log to, whatever that is at the time of a call."""

    def __init__(self, uri: str = "") -> None:
        self._uri = uri

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._here().transport.place}>"

    @contextmanager
    def _at(self) -> Iterator[Destination]:
        """The fluent functions that are called inside are for this place."""
        with current_session().at(self._uri):
            yield self._here()

    def _here(self) -> Destination:
        return current_session().destination(self._uri)

    def _get(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return delivered(self._uri).transport.get(path, fields)

    def _post(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return delivered(self._uri).transport.post(path, fields)

    def _send(self, method: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return delivered(self._uri).transport.send(method, path, fields)
