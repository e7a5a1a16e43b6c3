"""The metrics of all workers: asked for, added up, and written as one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from penstock.http.workers.messages import CollectMetrics
from penstock.http.workers.worker_process import WorkerProcess
from penstock.metrics import SupervisorCounts, render
from penstock.metrics.aggregate import SUPERVISOR, Family, MetricsAggregate, from_plain

_COLLECT_TIMEOUT = 1.0  # a worker that is busy for longer is shown as it last reported


class PoolMetrics:
    """Collects the workers' metrics, and adds the supervisor's own."""

    def __init__(self, workers: Mapping[int, WorkerProcess], metrics: SupervisorCounts) -> None:
        self._workers = workers
        self._metrics = metrics
        # The whole mutable state: the numbers of all, a collection under way, the workers whose report is pending.
        self._aggregate = MetricsAggregate()
        self._collecting: asyncio.Task[list[Family]] | None = None
        self._pending: set[int] = set()
        self._complete = asyncio.Event()

    async def exposition(self) -> str:
        """The metrics of all, in Prometheus' text format. Calls that come while the workers are asked share the
        answer."""
        if self._collecting is None or self._collecting.done():
            self._collecting = asyncio.create_task(self._collect())
        return render(await asyncio.shield(self._collecting)).decode()

    async def _collect(self) -> list[Family]:
        await self.ask(_COLLECT_TIMEOUT)
        self._aggregate.report(SUPERVISOR, self._metrics.collect())
        return self._aggregate.total()

    async def ask(self, timeout: float) -> None:  # noqa: ASYNC109  (its end is no error)
        """Asks every worker that is ready, and waits for their reports. A worker that has reported has carried out
        whatever it was sent before."""
        self._pending = {number for number, worker in self._workers.items() if worker.ready}
        self._complete.clear()
        for number in self._pending:
            self._workers[number].send(CollectMetrics())
        if self._pending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._complete.wait(), timeout)

    def on_report(self, number: int, families: list[Any]) -> None:
        self._aggregate.report(str(number), from_plain(families))
        self._no_longer_pending(number)

    def on_ended(self, number: int) -> None:
        self._aggregate.retire(str(number))
        self._no_longer_pending(number)

    def _no_longer_pending(self, number: int) -> None:
        self._pending.discard(number)
        if not self._pending:
            self._complete.set()

    def __repr__(self) -> str:
        return f"<PoolMetrics, {len(self._pending)} reports pending>"
