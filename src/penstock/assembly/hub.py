"""A hub out of plain values: its stores, its application, and the process that serves them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from penstock.artifacts.trees import open_tree
from penstock.assembly.observers import write_to_stderr
from penstock.http.events.access_log import AccessLog
from penstock.http.run import RunOptions, serve
from penstock.hub.access.gate import HubGate
from penstock.hub.access.tokens import TokenTable
from penstock.hub.app import HubApp
from penstock.hub.handlers.table import ROUTES
from penstock.hub.service import Hub, OpenedStores
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import HubMetrics
from penstock.registry.sql.store import SqlRegistry
from penstock.tracking.opening import open_database
from penstock.tracking.sql.group_commit import OnCommit
from penstock.tracking.sql.store import SqlTrackingStore

log = logging.getLogger("penstock.hub")


@dataclass(frozen=True, slots=True)
class HubOptions:
    """`store` is a directory, or the URL of a database; `artifacts` the directory or URL below which files are kept.

    `loopback` says whether only this machine reaches the hub. One that others reach asks for tokens, unless it is
    `open_to_everybody`. `allowed_hosts` are names that it answers for besides addresses and localhost. `access_log`
    writes a line of JSON to stderr for each request.
    """

    store: str
    artifacts: str
    loopback: bool = True
    open_to_everybody: bool = False
    allowed_hosts: tuple[str, ...] = ()
    access_log: bool = False


def open_stores(options: HubOptions, observe: OnCommit | None = None) -> OpenedStores:
    """All over one database, whose tables are brought to this release's form; `observe` is told of commits."""
    database = open_database(options.store)
    log.info(database.migrate())
    tracking = SqlTrackingStore(database, artifact_root="mlflow-artifacts:", observe=observe)
    registry = SqlRegistry(database, artifact_root=options.artifacts)
    return OpenedStores(tracking, registry, TokenTable(database), open_tree(options.artifacts))


def open_tokens(store: str) -> TokenTable:
    """The tokens in a store, for the command line."""
    database = open_database(store)
    database.migrate()
    return TokenTable(database)


async def serve_hub(
    options: HubOptions,
    bound: socket.socket,
    run_options: RunOptions,
    on_ready: Callable[[str], Any],
    *,
    limit: ExitLimit | None = None,
) -> None:
    """Serves until a signal comes. Raises what opening the stores raises, and ConfigError where tokens are missing."""
    asks = not options.loopback and not options.open_to_everybody
    gate = HubGate(asks_for_tokens=asks, hosts=options.allowed_hosts)
    metrics = HubMetrics()
    hub = Hub(
        lambda: open_stores(options, metrics.commit),
        gate,
        metrics,
        needs_tokens=asks,
        open_to_everybody=options.open_to_everybody,
    )
    with ExitStack() as opened:
        log = None
        if options.access_log:
            log = AccessLog(write_to_stderr)
            opened.callback(log.close)
        app = HubApp(ROUTES, hub, gate, observe=log)
        await serve(app, hub, bound, run_options, on_ready=on_ready, limit=limit)
