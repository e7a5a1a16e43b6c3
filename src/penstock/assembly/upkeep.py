"""The work on a store that its owner starts: garbage is collected, beside hubs that run on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.artifacts.opening import open_tree
from penstock.hub.gc.collector import StoreCollector
from penstock.tracking.opening import open_database


@contextmanager
def garbage_collector(store: str, artifacts: str) -> Iterator[StoreCollector]:
    """Nothing is made or migrated by it: whoever uses it is told what a store lacks."""
    database = open_database(store)
    try:
        yield StoreCollector(database, open_tree(artifacts), artifacts, time.time())
    finally:
        database.close()
