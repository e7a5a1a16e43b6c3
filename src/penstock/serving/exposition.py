"""What a server shows as its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from penstock.metrics import Metrics

T = TypeVar("T")


class Exposition(Protocol):
    """The metrics of a server, be it one process or many."""

    async def text(self) -> bytes:
        """In Prometheus' text format."""

    def close(self) -> None: ...


class OwnMetrics:
    """The metrics of this process, read in a thread for nothing else: reading takes a millisecond for each version, in
    which no request would move, and loads may occupy all other threads."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, "penstock-scrape")

    async def text(self) -> bytes:
        return await self.read(self._metrics.render)

    async def read(self, reader: Callable[[], T]) -> T:
        """What `reader` makes of the metrics."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, reader)

    def close(self) -> None:
        self._thread.shutdown()
