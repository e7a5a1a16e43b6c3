"""A hub in several processes: what `penstock hub --workers N` runs."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from penstock.assembly.hub import HubOptions, hub_of
from penstock.errors import ConfigError, PenstockError, remedy
from penstock.http.run import RunOptions
from penstock.http.workers.accepting import Acceptor, ConnectionCounts
from penstock.http.workers.all_metrics import AllWorkersMetrics
from penstock.http.workers.channel import Channel
from penstock.http.workers.messages import StartWorker
from penstock.http.workers.start_process import shared_file, start_process, worker_command
from penstock.http.workers.worker_loop import work
from penstock.http.workers.worker_server import WorkerServer
from penstock.hub.workers.supervisor import HubSupervisor
from penstock.hub.workers.worker import VOCABULARY, HubWorker
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import HubSupervisorMetrics
from penstock.sql.sqlite import SqliteDatabase
from penstock.tracking.opening import open_database

log = logging.getLogger("penstock.hub")


async def supervise_hub(
    options: HubOptions,
    bound: socket.socket,
    run_options: RunOptions,
    workers: int,
    on_ready: Callable[[str, bool], Any],
    *,
    limit: ExitLimit | None = None,
) -> None:
    """Serves in several processes until a signal comes. Raises what a hub raises that cannot start, and ConfigError for
    a store in SQLite, which has one writer."""
    _refuse_sqlite(options.store, workers)
    asks = await _try(options)
    settings = {"options": asdict(options), "run_options": asdict(run_options)}
    starts = [StartWorker(number, settings, sys.path) for number in range(1, workers + 1)]
    with shared_file() as shared:
        counts = ConnectionCounts.prepare(shared.fileno(), workers)
        files = (shared.fileno(), bound.fileno())
        launch = partial(start_process, worker_command("penstock.cli.hub.worker"), dict(os.environ), files, VOCABULARY)
        supervisor = HubSupervisor(launch, starts, HubSupervisorMetrics(), counts, run_options, limit=limit)
        await supervisor.run([bound], lambda url: on_ready(url, asks))


def _refuse_sqlite(store: str, workers: int) -> None:
    database = open_database(store)
    database.close()
    if isinstance(database, SqliteDatabase):
        raise ConfigError(
            f"{workers} workers cannot share the store at {database.place}: one process writes a SQLite file.",
            hint="Use one worker, or a store in PostgreSQL.",
            remedy=remedy("share_store"),
        )


async def _try(options: HubOptions) -> bool:
    """What keeps a hub from starting keeps all workers from it: here it is said as a single process would say it.
    Returns whether callers need a token."""
    with hub_of(options) as (app, hub):
        await hub.start()
        await hub.close()
        app.close()
        return hub.asks_for_tokens


async def run_hub_worker(
    channel: Channel, start: StartWorker, file: int, listener: socket.socket, limit: ExitLimit
) -> None:
    """A worker's life, from the supervisor's first message on. A worker whose store cannot be opened ends."""
    given = start.settings["options"]
    options = HubOptions(**{**given, "allowed_hosts": tuple(given["allowed_hosts"])})
    run_options = RunOptions(**start.settings["run_options"])
    limit.seconds = run_options.exit_seconds
    all_metrics = AllWorkersMetrics(channel.send)
    listener.setblocking(False)
    acceptor = Acceptor([listener], start.number, ConnectionCounts(file))
    with limit.after(), hub_of(options, all_metrics.text) as (app, hub):
        try:
            await hub.start()
        except PenstockError as error:
            log.error("The store cannot be opened: %s", error)
            raise SystemExit(1) from None
        server = WorkerServer(app, hub, run_options, acceptor, limit)
        await work(app, hub, server, HubWorker(channel, hub, server, all_metrics), limit)
