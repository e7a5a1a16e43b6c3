"""Requests to an embedded store: a hub without a port, in this process, over a directory or a database."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

from penstock.errors import ConfigError, DependencyMissing, PenstockError, TrackingUnavailable
from penstock.fluent.transport.exchange import Exchange, ExchangeBody, Exchanged, ExchangeLimits
from penstock.store_places import artifacts_beside

_PIECE = 1024 * 1024

# Imported on use: it needs the whole of Penstock, which the client alone does not.
_HUB = "penstock.assembly.embedded_hub"


class EmbeddedExchange(Exchange):
    """`store` is a directory, or the URL of a database; `artifacts` where files are kept, beside the store if empty."""

    pace = 2.0  # its transactions take the processor, and the interpreter, from the program that logs

    def __init__(self, store: str, artifacts: str = "") -> None:
        artifacts = artifacts or artifacts_beside(store)
        if not artifacts:
            raise ConfigError(
                "A store in a database needs a place for files.",
                hint="Name a directory, or a URL such as s3://bucket/artifacts, in PENSTOCK_ARTIFACTS.",
            )
        self._place = store.rpartition("@")[2] if "://" in store else store
        self._store, self._artifacts = store, artifacts
        # The whole mutable state: the hub, from the first request on.
        self._hub: Any = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<EmbeddedExchange {self._place}>"

    @property
    def place(self) -> str:
        return self._place

    def ask(
        self,
        method: str,
        path: str,
        body: ExchangeBody,
        headers: dict[str, str],
        limits: ExchangeLimits,
        *,
        again: bool = True,
    ) -> Exchanged:
        hub = self._opened()
        pieces = [body] if isinstance(body, bytes) else iter(lambda: body.read(_PIECE), b"") if body else []
        return Exchanged(*hub.ask(method, path, headers, pieces))

    def close(self) -> None:
        with self._lock:
            hub, self._hub = self._hub, None
        if hub is not None:
            hub.close()

    def _opened(self) -> Any:
        with self._lock:
            if self._hub is None:
                try:
                    module = import_module(_HUB)
                except ImportError as error:
                    raise DependencyMissing(
                        f"Logging to {self._place} needs the whole of Penstock.",
                        hint="pip install penstock, or log to a hub: PENSTOCK_TRACKING_URI=http://hub:5000",
                    ) from error
                try:
                    self._hub = module.EmbeddedHub(self._store, self._artifacts)
                except ConfigError:
                    raise
                except PenstockError as error:
                    raise TrackingUnavailable(f"{self._place} cannot be opened: {error}") from error
            return self._hub
