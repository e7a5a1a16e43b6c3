"""The supervisor of a gateway's workers: owns the sources of versions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from penstock.defaults import WORKER_TIMEOUT
from penstock.errors import PenstockError
from penstock.http.run import RunOptions, say_if_waiting
from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.channel import WorkerMessage
from penstock.http.workers.messages import AdmitTokens, StartWorker
from penstock.http.workers.pool import START_TIMEOUT
from penstock.http.workers.supervisor import ProcessSupervisor
from penstock.http.workers.worker_process import Launch
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import Metrics
from penstock.serving.fleet.messages import Event
from penstock.serving.fleet.worker_fleet import WorkerFleet
from penstock.serving.swap.sources import Sources

log = logging.getLogger("penstock.server")

_START_REPORT_TIMEOUT = 60.0


class Supervisor(ProcessSupervisor):
    """Lets the workers serve what the sources find, between its pool, which knows processes, and `fleet`, which knows
    models. Starting raises what loading raises."""

    def __init__(
        self,
        launch: Launch,
        starts: Sequence[StartWorker],
        metrics: Metrics,
        counts: ConnectionCounts,
        options: RunOptions,
        *,
        worker_timeout: float = WORKER_TIMEOUT,
        start_timeout: float = START_TIMEOUT,
        limit: ExitLimit | None = None,
    ) -> None:
        super().__init__(
            launch,
            starts,
            metrics,
            counts,
            options,
            worker_timeout=worker_timeout,
            start_timeout=start_timeout,
            limit=limit,
        )
        self.fleet = WorkerFleet(len(starts), self)
        self.sources = Sources()
        # Mutable state besides: whom workers let in, where a file says so.
        self._tokens: AdmitTokens | None = None

    def admit_tokens(self, content: bytes) -> None:
        """Every worker lets in whom the file of tokens names, also one that starts later."""
        self._tokens = AdmitTokens(content.decode("utf-8-sig"))
        for worker in self._pool.workers.values():
            worker.send(self._tokens)

    @property
    def _joined(self) -> Sequence[int]:
        return self.fleet.joined

    async def _start(self, url: str, on_started: Callable[[], None]) -> None:
        """Returns when every worker answers for every model; `on_started` is called once each source has started."""
        await self._all_joined
        await self.sources.start()
        await self._pool.metrics.ask(_START_REPORT_TIMEOUT)  # a worker that reports has carried out all before
        self._opened = True
        on_started()
        if waiting := self.fleet.waiting_for:
            say_if_waiting(url, waiting)
            await self.fleet.until_ready()
            await self._pool.metrics.ask(_START_REPORT_TIMEOUT)

    def _remove(self, number: int, how: str) -> bool:
        """Where a load was given up, that load says why."""
        return self.fleet.remove_worker(number, how)

    def _cancel(self) -> None:
        self.fleet.close()
        self.sources.cancel()

    async def _close_served(self) -> None:
        await self.sources.close()

    # -- what the pool reports (PoolListener) --------------------------------------------------------------------------

    def on_started(self, number: int) -> None:
        if self._tokens is not None:  # before it takes connections
            self._pool.workers[number].send(self._tokens)
        self.fleet.add_worker(number, self._pool.workers[number].send)

    def on_message(self, number: int, message: WorkerMessage) -> None:
        if isinstance(message, Event):
            self.fleet.on_event(number, message)
        else:
            super().on_message(number, message)

    # -- what the fleet reports (FleetListener) ------------------------------------------------------------------------

    def on_joined(self, number: int) -> None:
        self._join(number)

    def on_unfit(self, number: int, error: PenstockError) -> None:
        log.error("Worker %d cannot load a version that the other workers serve; killing the worker. %s", number, error)
        self._pool.workers[number].kill()

    def on_crashed(self, model: str, version: str, reason: str) -> None:
        self.sources.give_up(model, version, reason)
