"""Calls of the hub's own REST for the registry: where they go, and what becomes of an answer that makes no sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from penstock.errors import RegistryError, RegistryReadOnly, RegistryRefused, RegistryUnavailable, TrackingInvalid
from penstock.mlflow_api.client import MlflowRestClient

T = TypeVar("T")

OWN_API = "/api/penstock/v1/registry"

# Registering waits until the hub has read all files of the package, which may take it a minute.
REGISTER_SECONDS = 100.0


class HubCalls:
    """All raise what the hub's registry raised, RegistryDenied, and RegistryUnavailable; changes also RegistryReadOnly
    where the registry was opened for reading only."""

    def __init__(self, server: MlflowRestClient, *, read_only: bool) -> None:
        self._server = server
        self._read_only = read_only

    def ask(self, path: str, read: Callable[[Mapping[str, Any]], T], /, *, wait: float = 0.0, **fields: Any) -> T:
        """What `read` makes of the answer. `wait` is how long the hub may keep it back."""
        seconds = 20.0 + wait if wait else None
        return self._sent("GET", path, read, fields, seconds=seconds)

    def change(self, path: str, read: Callable[[Mapping[str, Any]], T], /, *, slow: bool = False, **fields: Any) -> T:
        """A change is sent once: whether one whose answer was lost was made, nobody knows."""
        if self._read_only:
            raise RegistryReadOnly(f"The registry at {self._server.place} was opened for reading only.")
        return self._sent("POST", path, read, fields, seconds=REGISTER_SECONDS if slow else None)

    def _sent(
        self,
        method: str,
        path: str,
        read: Callable[[Mapping[str, Any]], T],
        fields: Mapping[str, Any],
        *,
        seconds: float | None,
    ) -> T:
        try:
            answer = self._server.call(method, f"{OWN_API}/{path}", fields, once=method == "POST", seconds=seconds)
        except RegistryRefused as error:  # not by the registry: the request itself, or a hub that has no such path
            if error.status in (404, 405):
                raise RegistryUnavailable(
                    f"The hub at {self._server.place} has no call {path} for registries.",
                    hint="Bring the hub to the release of this Penstock.",
                ) from None
            raise TrackingInvalid(error.message) from None
        try:
            return read(answer)
        except RegistryError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RegistryUnavailable(f"{self._server.place} answers {path} in a format that is not a hub's.") from None

    def __repr__(self) -> str:
        return f"<HubCalls to {self._server.place}>"
