"""What the handlers of a hub are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from penstock.artifacts.trees import ArtifactTree
from penstock.hub.bodies.held import HeldBodies
from penstock.hub.files.work import FileWork
from penstock.hub.registry.alias_watch import AliasWatch
from penstock.hub.registry.registrations import Registrations
from penstock.hub.run_documents import RunDocuments
from penstock.hub.stores import HubStores
from penstock.metrics import HubMetrics


@dataclass(frozen=True, slots=True)
class HubContext:
    """The stores, the runs as they were answered last, the files and what is done with them, the registrations under
    way, who waits for aliases, what is counted, the rooms for bodies, and what a scrape is answered: the numbers of all
    processes, in Prometheus' text format."""

    stores: HubStores
    documents: RunDocuments
    artifacts: ArtifactTree
    work: FileWork
    registrations: Registrations
    aliases: AliasWatch
    metrics: HubMetrics
    bodies: HeldBodies
    scrape: Callable[[], Awaitable[bytes]]
