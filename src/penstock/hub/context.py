"""What the handlers of a hub are given."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.hub.run_documents import RunDocuments
from penstock.hub.stores import HubStores


@dataclass(frozen=True, slots=True)
class HubContext:
    """The stores, and the runs as they were answered last."""

    stores: HubStores
    documents: RunDocuments
