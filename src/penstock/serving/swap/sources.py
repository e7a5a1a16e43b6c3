"""Where versions come from: the sources of a server, from their start to their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

log = logging.getLogger("penstock.serving")


class VersionSource(Protocol):
    """Where the versions of a served model come from, or of several."""

    async def start(self) -> None:
        """The first version, loaded and proven. Raises what loading raises."""

    async def run(self) -> None:
        """Whatever goes on while the model is served, until cancelled."""

    def give_up(self, model: str, version: str, reason: str) -> None:
        """A version of a model has failed while it answered. Sources of other models ignore that."""


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
