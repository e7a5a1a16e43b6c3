"""A worker process of `penstock hub --workers N`."""

from __future__ import annotations

import asyncio
from typing import get_args

from penstock.http.workers.all_metrics import AllWorkersMetrics
from penstock.http.workers.channel import Channel, Vocabulary
from penstock.http.workers.messages import ProcessMessage, WorkerMetrics
from penstock.http.workers.worker_loop import WorkerLoop
from penstock.http.workers.worker_server import WorkerServer
from penstock.hub.service import Hub
from penstock.metrics.aggregate import to_plain

# A hub's supervisor and workers speak of their processes alone.
VOCABULARY = Vocabulary(get_args(ProcessMessage))


class HubWorker(WorkerLoop):
    """Its hub has started before it runs."""

    def __init__(self, channel: Channel, hub: Hub, server: WorkerServer, all_metrics: AllWorkersMetrics) -> None:
        super().__init__(channel, hub, server, all_metrics)
        self._metrics = hub.metrics

    async def _report(self) -> WorkerMetrics:
        return WorkerMetrics(to_plain(await asyncio.to_thread(self._metrics.collect)))

    async def _close(self) -> None:
        """Nothing is opened here."""
