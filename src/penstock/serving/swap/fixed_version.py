"""The plainest source: one version for good."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Generic

from penstock.errors import PenstockError, error_code
from penstock.metrics import Metrics
from penstock.serving.swap.load_failures import LoadFailures, what_serves
from penstock.serving.swap.target import P, StoppableLoads, SwapTarget

log = logging.getLogger("penstock.serving")


class FixedVersion(Generic[P]):
    """A source that names one version for good: a package at a path, or a version named by its number."""

    def __init__(
        self,
        target: SwapTarget[P],
        prepare: Callable[[], Awaitable[P]],
        metrics: Metrics,
        *,
        version: str = "",
        loads: StoppableLoads | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._prepare = prepare
        self._metrics = metrics
        self._version = version
        self._loads = loads
        self._clock = clock
        # The whole mutable state: why it could not be loaded, and when to try again.
        self._failures = LoadFailures(clock=clock, chance=chance)
        metrics.expect_model(target.name)

    async def start(self) -> None:
        try:
            await self._load()
        except Exception:
            log.error("%s cannot be served, so the server does not start.", self._target.name)
            raise

    async def _load(self) -> None:
        """Raises what loading raises."""
        with self._metrics.loading(self._target.name, error_code):
            try:
                prepared = await self._prepare()
            except asyncio.CancelledError:
                if self._loads is not None:
                    self._loads.stop(for_good=True)
                raise
        self._target.swap(prepared)

    async def try_once(self) -> None:
        try:
            await self._load()
        except Exception as error:  # it is tried again, or goes with the settings that name it
            self._note_failure(error)
        else:
            self._failures.clear()
            self._target.note_failure(None)
        self._metrics.swap_failing.labels(self._target.name).set(self._failures.last is not None)

    async def run(self) -> None:
        """Tries again until it is loaded, where the first try of a server that serves already has failed."""
        while (last := self._failures.last) is not None:
            await asyncio.sleep(max(0.0, last.retry_at - self._clock()))
            await self.try_once()

    def _note_failure(self, error: Exception) -> None:
        is_news = self._failures.note(self._version, error)
        self._target.note_failure(self._failures.shown)
        if not is_news:
            return
        log.error(
            "%s cannot be served; %s. %s",
            f"{self._target.name} version {self._version}" if self._version else self._target.name,
            what_serves(self._target.answering, self._version),
            error,
            exc_info=None if isinstance(error, PenstockError) else error,
        )

    def wake(self) -> None:
        """Nothing is followed."""

    def give_up(self, model: str, version: str, reason: str) -> None:
        """There is no other version to go back to."""
