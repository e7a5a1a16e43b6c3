"""The hub as a server process runs it: started, ready, drained, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import RegistryUnavailable
from penstock.hub.context import HubContext
from penstock.hub.run_documents import RunDocuments
from penstock.hub.stores import HubStores
from penstock.metrics import Metrics
from penstock.registry import Registry
from penstock.tracking.interface import TrackingStore


class Hub:
    """`open_stores` opens the stores, which may take migrations and connections; it is called in a thread."""

    def __init__(
        self, open_stores: Callable[[], tuple[TrackingStore, Registry]], artifacts: ArtifactTree, metrics: Metrics
    ) -> None:
        self.metrics = metrics
        self._open_stores = open_stores
        self._artifacts = artifacts
        # Mutable state: the stores from `start` to `close`, and whether `drain` was called.
        self._context: HubContext | None = None
        self.draining = False

    @property
    def waiting_for(self) -> list[str]:
        return [] if self._context is not None else ["the store"]

    def context(self) -> HubContext:
        """What handlers are given. Raises RegistryUnavailable before the start and after the end."""
        if self._context is None:
            raise RegistryUnavailable("The store is not open yet.", hint="Try again in a moment.")
        return self._context

    async def start(self) -> None:
        tracking, registry = await asyncio.to_thread(self._open_stores)
        self._context = HubContext(HubStores(tracking, registry), RunDocuments(tracking), self._artifacts)

    async def until_ready(self) -> None:
        """The stores are open once `start` has returned."""

    def drain(self) -> None:
        self.draining = True

    async def close(self) -> None:
        """Everything that was answered is kept; what was submitted is written first."""
        context, self._context = self._context, None
        if context is not None:
            await context.stores.close()

    def __repr__(self) -> str:
        return f"<Hub {'open' if self._context else 'closed'}{', draining' if self.draining else ''}>"
