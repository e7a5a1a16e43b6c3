"""The worker processes of a server together: started, watched, counted, and ended. Knows nothing of what they serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from math import ceil
from typing import Any, Protocol

from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.channel import WorkerMessage
from penstock.http.workers.messages import (
    AcceptConnections,
    AllMetrics,
    Heartbeat,
    Scrape,
    StartWorker,
    WorkerCount,
    WorkerMetrics,
    WorkerStarted,
)
from penstock.http.workers.pool_metrics import PoolMetrics
from penstock.http.workers.worker_process import WORKER_STATES, Launch, WorkerProcess
from penstock.metrics import SupervisorCounts

log = logging.getLogger("penstock.server")

_HEARTBEATS = 5  # a worker is asked for within its time
START_TIMEOUT = 60.0  # for an interpreter to start and import, however short the time for a heartbeat is


class PoolListener(Protocol):
    """What a pool reports."""

    def on_started(self, number: int) -> None:
        """A worker is ready for commands."""

    def on_message(self, number: int, message: WorkerMessage) -> None:
        """A worker has sent a message that is not about its process."""

    def on_ended(self, number: int, how: str) -> None: ...


class WorkerPool:
    """Keeps workers running, one for each first message in `starts`, until it is stopped."""

    def __init__(
        self,
        launch: Launch,
        starts: Sequence[StartWorker],
        metrics: SupervisorCounts,
        counts: ConnectionCounts,
        listener: PoolListener,
        *,
        worker_timeout: float,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self._own_metrics = metrics
        self._counts = counts
        self._listener = listener
        self._heartbeat_interval = worker_timeout / _HEARTBEATS
        self._max_missed_at_start = ceil(max(start_timeout, worker_timeout) / self._heartbeat_interval)
        # The whole mutable state: the workers by number, what keeps them running, other tasks, their metrics, whether
        # they are being ended.
        self.workers = {start.number: WorkerProcess(start.number, launch, start, self) for start in starts}
        for number in self.workers:
            metrics.worker_restarts.labels(str(number))
        self._keeping: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.metrics = PoolMetrics(self.workers, metrics)
        self._stopping = False

    def start(self) -> None:
        self._keeping = [asyncio.create_task(worker.keep_running()) for worker in self.workers.values()]
        self._spawn(self._check_heartbeats())

    def admit(self, number: int) -> None:
        """The worker takes connections from now on."""
        self.workers[number].set_serving()
        self.workers[number].send(AcceptConnections())

    def announce(self, serving: Sequence[int]) -> None:
        """Lets those that serve know how many they are."""
        for number in serving:
            self.workers[number].send(WorkerCount(len(serving), len(self.workers)))

    async def _check_heartbeats(self) -> None:
        """Kills workers that hang: stopped, held by a model that never lets go of the interpreter, stuck in their
        start."""
        while not self._stopping:
            await asyncio.sleep(self._heartbeat_interval)
            for worker in self.workers.values():
                worker.check_heartbeat(_HEARTBEATS, self._max_missed_at_start)

    # -- what workers report -----------------------------------------------------------------------------------------

    def on_message(self, worker: WorkerProcess, message: WorkerMessage) -> None:
        match message:
            case WorkerStarted():
                worker.ready = True
                self._listener.on_started(worker.number)
            case Heartbeat():
                pass
            case WorkerMetrics(families):
                self.metrics.on_report(worker.number, families)
            case Scrape(id):
                self._spawn(self._answer(worker, id))
            case _:
                self._listener.on_message(worker.number, message)

    def on_ended(self, worker: WorkerProcess, how: str) -> None:
        self._counts.set(worker.number, -1)
        self.metrics.on_ended(worker.number)
        self._listener.on_ended(worker.number, how)

    def is_needed(self, worker: WorkerProcess) -> bool:
        others = (other for other in self.workers.values() if other is not worker)
        return all(other.state == "waiting" for other in others)

    def on_restart(self, worker: WorkerProcess) -> None:
        self._own_metrics.worker_restarts.labels(str(worker.number)).inc()

    def on_state_change(self) -> None:
        states = [worker.state for worker in self.workers.values()]
        for state in WORKER_STATES:
            self._own_metrics.workers.labels(state).set(states.count(state))
        if states.count("waiting") == len(states):
            for worker in self.workers.values():
                worker.hurry()

    async def _answer(self, worker: WorkerProcess, id: int) -> None:
        worker.send(AllMetrics(id, await self.metrics.exposition()))

    # -- the end -----------------------------------------------------------------------------------------------------

    def stop(self, delay: float | None) -> None:
        """No other process comes; those that are there drain after `delay`, or end at once where it is None."""
        self._stopping = True
        for worker in self.workers.values():
            worker.stop(delay)

    def kill(self) -> None:
        for worker in self.workers.values():
            worker.kill()

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109  (what does not end in time is killed)
        """Waits for the workers to end; kills those that hang."""
        _, late = await asyncio.wait(self._keeping, timeout=timeout)
        if late:
            log.error("%d workers did not exit in time; killing them.", len(late))
            self.kill()
        await asyncio.gather(*self._keeping)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Supervising the workers failed.", exc_info=error)

    def __repr__(self) -> str:
        return f"<WorkerPool of {len(self.workers)} workers>"
