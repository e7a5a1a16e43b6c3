"""What the handlers of a hub are given."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.artifacts.trees import ArtifactTree
from penstock.hub.run_documents import RunDocuments
from penstock.hub.stores import HubStores


@dataclass(frozen=True, slots=True)
class HubContext:
    """The stores, the runs as they were answered last, and the files."""

    stores: HubStores
    documents: RunDocuments
    artifacts: ArtifactTree
