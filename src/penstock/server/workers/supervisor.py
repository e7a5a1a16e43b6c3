"""The supervisor of `--workers N`: owns the sources of versions and the workers, and answers no request itself."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from penstock.defaults import WORKER_TIMEOUT
from penstock.errors import PenstockError, WorkerLost
from penstock.http.run import LEAVE_SECONDS, RunOptions, close_in_time, say_if_waiting, url_of
from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.channel import WorkerMessage
from penstock.http.workers.messages import AdmitTokens, StartWorker
from penstock.http.workers.pool import START_TIMEOUT, WorkerPool
from penstock.http.workers.worker_process import Launch
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import Metrics
from penstock.serving.fleet.messages import Event
from penstock.serving.fleet.worker_fleet import WorkerFleet
from penstock.serving.swap.sources import Sources

log = logging.getLogger("penstock.server")

_START_REPORT_TIMEOUT = 60.0
_KILL_SECONDS = 1.0  # after drain_timeout, in which workers close what they have; then they are killed


class Supervisor:
    """Starts the workers, lets them serve what the sources find, and ends them.

    Between `pool`, which knows processes, and `fleet`, which knows models.
    """

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
        self.fleet = WorkerFleet(len(starts), self)
        self._pool = WorkerPool(
            launch, starts, metrics, counts, self, worker_timeout=worker_timeout, start_timeout=start_timeout
        )
        self._options = options
        self._limit = limit
        self.sources = Sources()
        # The whole mutable state: whether all workers serve, have started, or cannot; the delay of the drain once it
        # has begun, and the signal for it; whom workers let in, where a file says so.
        self._opened = False
        loop = asyncio.get_running_loop()
        self._all_joined: asyncio.Future[None] = loop.create_future()
        self._broken: asyncio.Future[None] = loop.create_future()
        self._drain_delay: float | None = None
        self._tokens: AdmitTokens | None = None
        self._stop_signal = asyncio.Event()

    @property
    def draining(self) -> bool:
        """Whether it ends."""
        return self._drain_delay is not None

    def admit_tokens(self, content: bytes) -> None:
        """Every worker lets in whom the file of tokens names, also one that starts later."""
        self._tokens = AdmitTokens(content.decode("utf-8-sig"))
        for worker in self._pool.workers.values():
            worker.send(self._tokens)

    async def run(
        self,
        bound: Sequence[socket.socket],
        on_ready: Callable[[str], Any],
        *,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serves what the sources find until a signal comes, then drains. `on_started` is called once each source has
        started, `on_ready` with the first socket's URL once every model is loaded in every worker; as in `run.serve`.
        Raises what loading raises, WorkerLost where a worker ends before all have served."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        with nullcontext() if self._limit is None else self._limit.watching():
            await self._serve(bound, on_ready, on_started)

    async def _serve(
        self, bound: Sequence[socket.socket], on_ready: Callable[[str], Any], on_started: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._pool.start()
        starting = asyncio.create_task(self._start(url_of(bound[0]), on_started))
        stopped = asyncio.create_task(self._stop_signal.wait())
        try:
            waited: list[asyncio.Future[Any]] = [starting, stopped, self._broken]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not self._stop_signal.is_set():
                await (self._broken if self._broken.done() else starting)
                on_ready(url_of(bound[0]))
            await stopped
        finally:
            self._drain(0.0)
            for each in bound:
                each.close()  # once the workers have closed it too, no client can connect
            await self._pool.close((self._drain_delay or 0.0) + self._options.drain_timeout + _KILL_SECONDS)
            await close_in_time(self._close([starting, stopped]), self._limit)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _start(self, url: str, on_started: Callable[[], None]) -> None:
        """Returns when every worker answers for every model."""
        await self._all_joined
        await self.sources.start()
        await self._pool.metrics.ask(_START_REPORT_TIMEOUT)  # a worker that reports has carried out all before
        self._opened = True
        on_started()
        if waiting := self.fleet.waiting_for:
            say_if_waiting(url, waiting)
            await self.fleet.until_ready()
            await self._pool.metrics.ask(_START_REPORT_TIMEOUT)

    # -- what the pool reports (PoolListener) --------------------------------------------------------------------------

    def on_started(self, number: int) -> None:
        if self._tokens is not None:  # before it takes connections
            self._pool.workers[number].send(self._tokens)
        self.fleet.add_worker(number, self._pool.workers[number].send)

    def on_message(self, number: int, message: WorkerMessage) -> None:
        if isinstance(message, Event):
            self.fleet.on_event(number, message)
        else:
            log.error("Worker %d sent a message that only the supervisor may send: %s.", number, type(message).__name__)

    def on_ended(self, number: int, how: str) -> None:
        if self._drain_delay is not None:
            return
        was_loading = self.fleet.remove_worker(number, how)
        if not self._opened:  # ends as a single process would; where a load was given up, that load says why
            if not was_loading:
                self._broken.set_exception(WorkerLost(f"Worker {number} {how} before it could serve."))
            self._drain(0.0)
        self._pool.announce(self.fleet.joined)

    # -- what the fleet reports (FleetListener) ------------------------------------------------------------------------

    def on_joined(self, number: int) -> None:
        self._pool.admit(number)
        self._pool.announce(self.fleet.joined)
        if len(self.fleet.joined) == len(self._pool.workers):
            if not self._all_joined.done():
                self._all_joined.set_result(None)
            if self._opened:
                log.info("All %d workers are serving.", len(self._pool.workers))

    def on_unfit(self, number: int, error: PenstockError) -> None:
        log.error("Worker %d cannot load a version that the other workers serve; killing the worker. %s", number, error)
        self._pool.workers[number].kill()

    def on_crashed(self, model: str, version: str, reason: str) -> None:
        self.sources.give_up(model, version, reason)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        if self._drain_delay is not None:
            log.info("Stopping at once.")
            self._pool.kill()
            if self._limit is not None:
                self._limit.within(LEAVE_SECONDS)
            return
        self._drain(self._options.drain_delay if number == signal.SIGTERM else 0.0)
        self._stop_signal.set()

    def _drain(self, delay: float) -> None:
        """The first call counts. Before the start is over there is nothing in flight that could be finished."""
        if self._drain_delay is None:
            self._drain_delay = delay
            if self._limit is not None:
                self._limit.within(delay + self._options.drain_timeout + LEAVE_SECONDS)
            self.fleet.close()
            self.sources.cancel()
            self._pool.stop(delay if self._opened else None)

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, PenstockError):
                log.error("The server failed to start.", exc_info=ended)
        await self.sources.close()
        self._all_joined.cancel()
        if not self._broken.cancel() and not self._broken.cancelled():
            self._broken.exception()  # known already, or overtaken by a signal

    def __repr__(self) -> str:
        return f"<Supervisor of {len(self._pool.workers)} workers: {self.fleet!r}>"
