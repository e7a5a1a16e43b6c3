"""Where versions come from: what a source is, the plainest one, and all sources of a server, from their start to their
end. Those that follow a registry have files of their own (`follower`, `pattern`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, Protocol

from penstock.errors import error_code
from penstock.metrics import Metrics
from penstock.serving.swap.target import P, StoppableLoads, SwapTarget

log = logging.getLogger("penstock.serving")


class VersionSource(Protocol):
    """Where the versions of a served model come from, or of several."""

    async def start(self) -> None:
        """The first version, loaded and proven. Raises what loading raises."""

    async def run(self) -> None:
        """Whatever goes on while the model is served, until cancelled."""

    def give_up(self, model: str, version: str, reason: str) -> None:
        """A version of a model has failed while it answered. Sources of other models ignore that."""


class FixedVersion(Generic[P]):
    """A source that names one version for good: a package at a path, or a version named by its number."""

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
            except Exception:
                log.error("%s cannot be served, so the server does not start.", self._target.name)
                raise
        self._target.swap(prepared)

    async def run(self) -> None:
        return

    def give_up(self, model: str, version: str, reason: str) -> None:
        """There is no other version to go back to."""


class Sources:
    """All sources of a server."""

    def __init__(self, sources: Iterable[VersionSource] = ()) -> None:
        # The whole mutable state: the sources, and the tasks of those that have started.
        self._sources = list(sources)
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, source: VersionSource) -> None:
        """Before the start."""
        self._sources.append(source)

    async def start(self) -> None:
        """Starts one after the other, and lets each run. Raises what loading raises."""
        for source in self._sources:
            await source.start()
            self._tasks.append(asyncio.create_task(source.run()))

    def give_up(self, model: str, version: str, reason: str) -> None:
        """A version of a model has failed while it answered."""
        for source in self._sources:
            source.give_up(model, version, reason)

    def cancel(self) -> None:
        """Ends them soon."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Ends them, and waits until they have ended."""
        self.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("A registry follower stopped with an error.", exc_info=ended)
        self._tasks.clear()

    def __repr__(self) -> str:
        return f"<Sources: {len(self._sources)}, {len(self._tasks)} running>"
