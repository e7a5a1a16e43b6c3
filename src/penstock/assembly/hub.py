"""A hub out of plain values: its stores, its application, and the process that serves them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.access.policy import HubRole
from penstock.artifacts.opening import open_tree
from penstock.assembly.observers import write_to_stderr
from penstock.http.events.access_log import AccessLog
from penstock.http.run import RunOptions, serve
from penstock.hub.access.gate import HubGate
from penstock.hub.access.given_tokens import callers_of
from penstock.hub.access.tokens import TokenTable
from penstock.hub.app import HubApp
from penstock.hub.handlers.table import ROUTES
from penstock.hub.service import Hub, OpenedStores
from penstock.logs import LogFormat
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import HubMetrics
from penstock.registry.sql.store import SqlRegistry
from penstock.sql.database import Database
from penstock.sql.sqlite import SqliteDatabase
from penstock.tracking.opening import open_database
from penstock.tracking.sql.group_commit import OnCommit
from penstock.tracking.sql.store import SqlTrackingStore

log = logging.getLogger("penstock.hub")


@dataclass(frozen=True, slots=True)
class HubOptions:
    """`store` is a directory, or the URL of a database; `artifacts` the directory or URL below which files are kept.

    `loopback` says whether only this machine reaches the hub. One that others reach asks for tokens, unless it is
    `open_to_everybody`. `allowed_hosts` are names that it answers for besides addresses and localhost. `given_tokens`
    let somebody in besides those in the table. `access_log` writes a line of JSON to stderr for each request;
    `log_format` is for the processes that are started besides this one.
    """

    store: str
    artifacts: str
    loopback: bool = True
    open_to_everybody: bool = False
    allowed_hosts: tuple[str, ...] = ()
    given_tokens: Mapping[HubRole, str] = field(default_factory=dict, repr=False)
    access_log: bool = False
    log_format: LogFormat = "plain"


def open_stores(options: HubOptions, observe: OnCommit | None = None) -> OpenedStores:
    """All over one database; `observe` is told of commits. Raises RegistryOutdated where the tables of a server are not
    those of this release."""
    database = _opened(options.store)
    tracking = SqlTrackingStore(database, artifact_root="mlflow-artifacts:", observe=observe)
    registry = SqlRegistry(database, artifact_root=options.artifacts)
    return OpenedStores(tracking, registry, TokenTable(database), open_tree(options.artifacts))


def open_tokens(store: str) -> TokenTable:
    """The tokens in a store, for the command line."""
    return TokenTable(_opened(store))


def migrate_store(store: str) -> str:
    """Brings the tables to this release's form; says in one sentence what was done."""
    with closing(open_database(store)) as database:
        return database.migrate()


def _opened(store: str) -> Database:
    """The embedded file is brought to this release's form here. Those of a server, which others share, by command
    alone."""
    database = open_database(store)
    try:
        if isinstance(database, SqliteDatabase):
            log.info(database.migrate())
        else:
            database.read(lambda connection: None)  # which looks at the revision
    except BaseException:
        database.close()
        raise
    return database


def _disks(options: HubOptions) -> dict[str, Path]:
    """What of this machine's disks is written to."""
    with closing(open_database(options.store)) as database:
        found = {"store": database.path.parent} if isinstance(database, SqliteDatabase) else {}
    if "://" not in options.artifacts:
        found["artifacts"] = Path(os.path.abspath(options.artifacts))
    return found


async def serve_hub(
    options: HubOptions,
    bound: socket.socket,
    run_options: RunOptions,
    on_ready: Callable[[str, bool], Any],
    *,
    limit: ExitLimit | None = None,
) -> None:
    """Serves until a signal comes. `on_ready` is told the URL, and whether callers need a token. Raises what opening
    the stores raises, and ConfigError where tokens are missing."""
    with hub_of(options) as (app, hub):
        await serve(app, hub, bound, run_options, on_ready=lambda url: on_ready(url, hub.asks_for_tokens), limit=limit)


@contextmanager
def hub_of(options: HubOptions, scrape: Callable[[], Awaitable[bytes]] | None = None) -> Iterator[tuple[HubApp, Hub]]:
    """A hub that has not started, and its application; `scrape` as in `Hub`."""
    asks = not options.loopback and not options.open_to_everybody
    metrics = HubMetrics()
    gate = HubGate(asks_for_tokens=asks, hosts=options.allowed_hosts, on_refused=metrics.refuse)
    for place, path in _disks(options).items():
        metrics.watch_disk(place, path)
    hub = Hub(
        lambda: open_stores(options, metrics.commit),
        gate,
        metrics,
        needs_tokens=asks,
        open_to_everybody=options.open_to_everybody,
        given=callers_of(options.given_tokens),
        scrape=scrape,
    )
    with ExitStack() as opened:
        log = None
        if options.access_log:
            log = AccessLog(write_to_stderr)
            opened.callback(log.close)
        yield HubApp(ROUTES, hub, gate, observe=log), hub
