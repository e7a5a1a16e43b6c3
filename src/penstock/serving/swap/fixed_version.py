"""A source that names one version for good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic

from penstock.errors import error_code
from penstock.metrics import Metrics
from penstock.serving.swap.target import P, StoppableLoads, SwapTarget


class FixedVersion(Generic[P]):
    """A package at a path, or a version named by its number."""

    def __init__(
        self,
        target: SwapTarget[P],
        prepare: Callable[[], Awaitable[P]],
        metrics: Metrics,
        *,
        loads: StoppableLoads | None = None,
    ) -> None:
        self._target = target
        self._prepare = prepare
        self._metrics = metrics
        self._loads = loads
        metrics.expect_model(target.name)

    async def start(self) -> None:
        with self._metrics.loading(self._target.name, error_code):
            try:
                prepared = await self._prepare()
            except asyncio.CancelledError:
                if self._loads is not None:
                    self._loads.stop(for_good=True)
                raise
        self._target.swap(prepared)

    async def run(self) -> None:
        return

    def give_up(self, model: str, version: str, reason: str) -> None:
        """There is no other version to go back to."""
