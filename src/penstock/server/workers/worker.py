"""A worker process: the gateway and the server of any other, and a channel to the supervisor, which commands it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import get_args

from penstock.http.run import RunOptions, close_in_time
from penstock.http.service import Application
from penstock.http.workers.accepting import Acceptor
from penstock.http.workers.channel import Channel, Vocabulary, WorkerMessage
from penstock.http.workers.messages import (
    AcceptConnections,
    AdmitTokens,
    AllMetrics,
    CollectMetrics,
    Drain,
    Heartbeat,
    ProcessMessage,
    WorkerCount,
    WorkerMetrics,
    WorkerStarted,
)
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics.aggregate import to_plain
from penstock.server.workers.all_metrics import AllWorkersMetrics
from penstock.server.workers.worker_server import WorkerServer
from penstock.serving.exposition import OwnMetrics
from penstock.serving.fleet.messages import Command, Event
from penstock.serving.fleet.worker_models import WorkerModels
from penstock.serving.gateway import Gateway

log = logging.getLogger("penstock.server")

# All that a supervisor and its workers say to each other: about their processes, and about models.
VOCABULARY = Vocabulary([*get_args(ProcessMessage), *get_args(Command), *get_args(Event)])


class Worker:
    """Carries out what the supervisor sends, in order: about the process here, about models in `models`."""

    def __init__(
        self,
        channel: Channel,
        gateway: Gateway,
        server: WorkerServer,
        models: WorkerModels,
        all_metrics: AllWorkersMetrics,
        admit: Callable[[str], None],
    ) -> None:
        self._channel = channel
        self._gateway = gateway
        self._server = server
        self._models = models
        self._all_metrics = all_metrics
        self._admit = admit
        self._own_metrics = OwnMetrics(gateway.metrics)

    async def run(self) -> None:
        """Until the supervisor is gone; then the worker ends too."""
        self._channel.send(WorkerStarted())
        async for message in self._channel:
            await self._carry_out(message)
        if not self._gateway.draining:
            log.error("The supervisor has exited.")
        self._server.drain(0)

    async def _carry_out(self, message: WorkerMessage) -> None:
        if isinstance(message, Command):
            self._models.carry_out(message)
            return
        match message:
            case Heartbeat():
                self._channel.send(message)
            case AcceptConnections():
                self._server.accept()
            case AdmitTokens(text):
                self._admit(text)
            case WorkerCount(serving, wanted):
                self._gateway.set_worker_count(serving, wanted)
            case Drain(delay):
                self._server.drain(delay)
            case CollectMetrics():
                self._channel.send(await self._own_metrics.read(self._report))
            case AllMetrics(id, text):
                self._all_metrics.on_answer(id, text)
            case _:
                log.error("The supervisor sent a message that only a worker may send: %s.", type(message).__name__)

    def _report(self) -> WorkerMetrics:
        return WorkerMetrics(to_plain(self._gateway.metrics.collect()))

    async def close(self) -> None:
        """The last report, then the end of loads and channel."""
        self._channel.send(self._report())
        await self._models.close()
        self._own_metrics.close()
        await self._channel.close()


async def work(
    app: Application,
    gateway: Gateway,
    models: WorkerModels,
    all_metrics: AllWorkersMetrics,
    *,
    admit: Callable[[str], None],
    channel: Channel,
    acceptor: Acceptor,
    options: RunOptions,
    limit: ExitLimit | None = None,
) -> None:
    """Serves as the supervisor commands, until it says to end, a signal does, or it is gone. `admit` is told whom to
    let in, by the text of the file of tokens."""
    server = WorkerServer(app, gateway, options, acceptor, limit)
    worker = Worker(channel, gateway, server, models, all_metrics, admit)
    serving = asyncio.create_task(server.serve(sockets=[]))
    await server.ready.wait()
    running = asyncio.create_task(worker.run())
    try:
        await asyncio.wait([serving, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        await serving
    finally:
        server.stop()
        await serving
        await close_in_time(worker.close(), limit)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await close_in_time(gateway.close(), limit)
        app.close()
