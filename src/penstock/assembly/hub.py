"""A hub out of plain values: its stores, its application, and the process that serves them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.artifacts.trees import open_tree
from penstock.http.run import RunOptions, serve
from penstock.hub.app import HubApp
from penstock.hub.handlers.table import ROUTES
from penstock.hub.service import Hub
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import Metrics
from penstock.registry import Registry
from penstock.registry.sql import SqlRegistry
from penstock.tracking.interface import TrackingStore
from penstock.tracking.opening import open_database
from penstock.tracking.sql.store import SqlTrackingStore


@dataclass(frozen=True, slots=True)
class HubOptions:
    """`store` is a directory, or the URL of a database; `artifacts` the directory or URL below which files are kept."""

    store: str
    artifacts: str


def open_stores(options: HubOptions) -> tuple[TrackingStore, Registry]:
    """Both over one database, whose tables are brought to this release's form."""
    database = open_database(options.store)
    database.migrate()
    tracking = SqlTrackingStore(database, artifact_root="mlflow-artifacts:")
    return tracking, SqlRegistry(database, artifact_root=options.artifacts)


async def serve_hub(
    options: HubOptions,
    bound: socket.socket,
    run_options: RunOptions,
    on_ready: Callable[[str], Any],
    *,
    limit: ExitLimit | None = None,
) -> None:
    """Serves until a signal comes."""
    hub = Hub(lambda: open_stores(options), open_tree(options.artifacts), Metrics())
    await serve(HubApp(ROUTES, hub.context), hub, bound, run_options, on_ready=on_ready, limit=limit)
