"""A worker process: the server of any other, and a channel to the supervisor, which commands it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

from penstock.http.run import close_in_time
from penstock.http.service import Application, Service
from penstock.http.workers.all_metrics import AllWorkersMetrics
from penstock.http.workers.channel import Channel, WorkerMessage
from penstock.http.workers.messages import (
    AcceptConnections,
    AllMetrics,
    CollectMetrics,
    Drain,
    Heartbeat,
    WorkerCount,
    WorkerMetrics,
    WorkerStarted,
)
from penstock.http.workers.worker_server import WorkerServer
from penstock.machine.exit_limit import ExitLimit

log = logging.getLogger("penstock.server")


class WorkerLoop(ABC):
    """Carries out what the supervisor sends, in order: what is about the process here, the rest in a subclass."""

    def __init__(
        self, channel: Channel, service: Service, server: WorkerServer, all_metrics: AllWorkersMetrics
    ) -> None:
        self._channel = channel
        self._service = service
        self._server = server
        self._all_metrics = all_metrics

    @abstractmethod
    async def _report(self) -> WorkerMetrics:
        """The numbers of this process."""

    @abstractmethod
    async def _close(self) -> None:
        """Releases what the subclass opened."""

    def _count(self, serving: int, wanted: int) -> None:  # noqa: B027  (not all want to know)
        """So many workers serve, of so many."""

    def _obey(self, message: WorkerMessage) -> bool:
        """Carries out what is not about the process; says whether it was a command."""
        return False

    async def run(self) -> None:
        """Until the supervisor is gone; then the worker ends too."""
        self._channel.send(WorkerStarted())
        async for message in self._channel:
            await self._carry_out(message)
        if not self._service.draining:
            log.error("The supervisor has exited.")
        self._server.drain(0)

    async def _carry_out(self, message: WorkerMessage) -> None:
        if self._obey(message):
            return
        match message:
            case Heartbeat():
                self._channel.send(message)
            case AcceptConnections():
                self._server.accept()
            case WorkerCount(serving, wanted):
                self._count(serving, wanted)
            case Drain(delay):
                self._server.drain(delay)
            case CollectMetrics():
                self._channel.send(await self._report())
            case AllMetrics(id, text):
                self._all_metrics.on_answer(id, text)
            case _:
                log.error("The supervisor sent a message that only a worker may send: %s.", type(message).__name__)

    async def close(self) -> None:
        """The last report, then the end of the channel and of what was opened."""
        self._channel.send(await self._report())
        await self._close()
        await self._channel.close()


async def work(
    app: Application, service: Service, server: WorkerServer, worker: WorkerLoop, limit: ExitLimit | None = None
) -> None:
    """Serves as the supervisor commands, until it says to end, a signal does, or it is gone."""
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
        await close_in_time(service.close(), limit)
        app.close()
