"""A worker process of a gateway: the supervisor commands which models it serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from penstock.http.workers.all_metrics import AllWorkersMetrics
from penstock.http.workers.channel import Channel, Vocabulary, WorkerMessage
from penstock.http.workers.messages import AdmitTokens, ProcessMessage, WorkerMetrics
from penstock.http.workers.worker_loop import WorkerLoop
from penstock.http.workers.worker_server import WorkerServer
from penstock.metrics.aggregate import to_plain
from penstock.serving.exposition import OwnMetrics
from penstock.serving.fleet.messages import Command, Event
from penstock.serving.fleet.worker_models import WorkerModels
from penstock.serving.gateway import Gateway

# All that a supervisor and its workers say to each other: about their processes, and about models.
VOCABULARY = Vocabulary([*get_args(ProcessMessage), *get_args(Command), *get_args(Event)])


class Worker(WorkerLoop):
    """What is about models is carried out in `models`. `admit` is told whom to let in, by the text of the file of
    tokens."""

    def __init__(
        self,
        channel: Channel,
        gateway: Gateway,
        server: WorkerServer,
        models: WorkerModels,
        all_metrics: AllWorkersMetrics,
        admit: Callable[[str], None],
    ) -> None:
        super().__init__(channel, gateway, server, all_metrics)
        self._gateway = gateway
        self._models = models
        self._admit = admit
        self._own_metrics = OwnMetrics(gateway.metrics)

    def _obey(self, message: WorkerMessage) -> bool:
        if isinstance(message, AdmitTokens):
            self._admit(message.text)
        elif isinstance(message, Command):
            self._models.carry_out(message)
        else:
            return False
        return True

    def _count(self, serving: int, wanted: int) -> None:
        self._gateway.set_worker_count(serving, wanted)

    async def _report(self) -> WorkerMetrics:
        return await self._own_metrics.read(lambda: WorkerMetrics(to_plain(self._gateway.metrics.collect())))

    async def _close(self) -> None:
        await self._models.close()
        self._own_metrics.close()
