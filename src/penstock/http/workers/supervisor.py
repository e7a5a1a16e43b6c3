"""The supervisor of `--workers N`: starts workers, lets them serve, and ends them. It answers no request itself."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from penstock.defaults import WORKER_TIMEOUT
from penstock.errors import PenstockError, WorkerLost
from penstock.http.run import LEAVE_SECONDS, RunOptions, close_in_time, url_of
from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.channel import WorkerMessage
from penstock.http.workers.messages import StartWorker
from penstock.http.workers.pool import START_TIMEOUT, WorkerPool
from penstock.http.workers.worker_process import Launch
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import SupervisorCounts

log = logging.getLogger("penstock.server")

_KILL_SECONDS = 1.0  # after drain_timeout, in which workers close what they have; then they are killed


class ProcessSupervisor(ABC):
    """The life of the processes. What they serve, and when they may, is a subclass's."""

    def __init__(
        self,
        launch: Launch,
        starts: Sequence[StartWorker],
        metrics: SupervisorCounts,
        counts: ConnectionCounts,
        options: RunOptions,
        *,
        worker_timeout: float = WORKER_TIMEOUT,
        start_timeout: float = START_TIMEOUT,
        limit: ExitLimit | None = None,
    ) -> None:
        self._pool = WorkerPool(
            launch, starts, metrics, counts, self, worker_timeout=worker_timeout, start_timeout=start_timeout
        )
        self._options = options
        self._limit = limit
        # The whole mutable state: whether all workers serve, have started, or cannot; the delay of the drain once it
        # has begun, and the signal for it.
        self._opened = False
        loop = asyncio.get_running_loop()
        self._all_joined: asyncio.Future[None] = loop.create_future()
        self._broken: asyncio.Future[None] = loop.create_future()
        self._drain_delay: float | None = None
        self._stop_signal = asyncio.Event()

    # -- what a subclass knows -----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _joined(self) -> Sequence[int]:
        """The numbers of the workers that answer requests."""

    @abstractmethod
    async def _start(self, url: str, on_started: Callable[[], None]) -> None:
        """Returns when all workers answer for everything; `on_started` is called once all that is to be served is
        known."""

    @abstractmethod
    def _remove(self, number: int, how: str) -> bool:
        """A worker has ended; whether that ended something that says so itself."""

    def _cancel(self) -> None:  # noqa: B027  (there may be nothing to cancel)
        """The drain has begun."""

    async def _close_served(self) -> None:  # noqa: B027  (nor to close)
        """All workers have ended."""

    # -- the life of the server ----------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether it ends."""
        return self._drain_delay is not None

    async def run(
        self,
        bound: Sequence[socket.socket],
        on_ready: Callable[[str], Any],
        *,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serves until a signal comes, then drains. `on_started` as in `_start`, `on_ready` with the first socket's URL
        once `_start` has returned; as in `run.serve`. Raises what `_start` raises, WorkerLost where a worker ends
        before all have served."""
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

    def _join(self, number: int) -> None:
        """The worker may accept requests now."""
        self._pool.admit(number)
        self._pool.announce(self._joined)
        if len(self._joined) == len(self._pool.workers):
            if not self._all_joined.done():
                self._all_joined.set_result(None)
            if self._opened:
                log.info("All %d workers are serving.", len(self._pool.workers))

    # -- what the pool reports (PoolListener) --------------------------------------------------------------------------

    @abstractmethod
    def on_started(self, number: int) -> None:
        """A worker is ready for commands."""

    def on_message(self, number: int, message: WorkerMessage) -> None:
        log.error("Worker %d sent a message that only the supervisor may send: %s.", number, type(message).__name__)

    def on_ended(self, number: int, how: str) -> None:
        if self._drain_delay is not None:
            return
        is_told = self._remove(number, how)
        if not self._opened:  # ends as a single process would
            if not is_told:
                self._broken.set_exception(WorkerLost(f"Worker {number} {how} before it could serve."))
            self._drain(0.0)
        self._pool.announce(self._joined)

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
            self._cancel()
            self._pool.stop(delay if self._opened else None)

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, PenstockError):
                log.error("The server failed to start.", exc_info=ended)
        await self._close_served()
        self._all_joined.cancel()
        if not self._broken.cancel() and not self._broken.cancelled():
            self._broken.exception()  # known already, or overtaken by a signal

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._pool.workers)} workers>"
