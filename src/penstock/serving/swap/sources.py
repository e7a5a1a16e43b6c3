"""Where versions come from: what a source is, and all sources of a server, from their start to their end, some of which
come and go while it serves. Each kind has a file of its own (`fixed_version`, `follower`, `pattern`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

log = logging.getLogger("penstock.serving")

# How many sources that came while the server serves make their first try at once: each may hold a copy of its model
# beside the one that answers.
_FIRST_TRIES = 2


class VersionSource(Protocol):
    """Where the versions of a served model come from, or of several."""

    async def start(self) -> None:
        """The first version, loaded and proven. Raises what loading raises."""

    async def try_once(self) -> None:
        """The same, once, for a server that serves already: what fails is noted and left to `run`."""

    async def run(self) -> None:
        """Whatever goes on while the model is served, until cancelled."""

    def wake(self) -> None:
        """The registry has something new: what follows it asks now. Others ignore that."""

    def give_up(self, model: str, version: str, reason: str) -> None:
        """A version of a model has failed while it answered. Sources of other models ignore that."""


class Sources:
    """All sources of a server."""

    def __init__(self, sources: Iterable[VersionSource] = ()) -> None:
        # The whole mutable state: the sources, with the task of each that has started; whose turn it is to try first;
        # whether they have ended.
        self._tasks: dict[VersionSource, asyncio.Task[None] | None] = dict.fromkeys(sources)
        self._turns = asyncio.Semaphore(_FIRST_TRIES)
        self._ended = False

    def add(self, source: VersionSource) -> None:
        """Before the start."""
        self._tasks[source] = None

    async def start(self) -> None:
        """Starts one after the other, and lets each run. Raises what loading raises."""
        for source in list(self._tasks):
            await source.start()
            self._tasks[source] = asyncio.create_task(source.run())

    def begin(self, source: VersionSource) -> None:
        """One more, while the others run: it is tried when it is its turn, and runs then."""
        if not self._ended:
            self._tasks[source] = asyncio.create_task(self._run(source))

    async def _run(self, source: VersionSource) -> None:
        async with self._turns:
            await source.try_once()
        await source.run()

    async def end(self, source: VersionSource) -> None:
        """This one, for good, with what it is loading; what it has loaded stays. Returns when it has ended."""
        task = self._tasks.pop(source, None)
        if task is not None:
            task.cancel()
            await _gone([task])

    def wake(self) -> None:
        """The registry has something new."""
        for source in list(self._tasks):
            source.wake()

    def give_up(self, model: str, version: str, reason: str) -> None:
        """A version of a model has failed while it answered."""
        for source in list(self._tasks):
            source.give_up(model, version, reason)

    def cancel(self) -> None:
        """Ends them soon."""
        self._ended = True
        for task in self._running():
            task.cancel()

    async def close(self) -> None:
        """Ends them, and waits until they have ended."""
        self.cancel()
        await _gone(self._running())
        self._tasks = dict.fromkeys(self._tasks)

    def _running(self) -> list[asyncio.Task[None]]:
        return [task for task in self._tasks.values() if task is not None]

    def __repr__(self) -> str:
        return f"<Sources: {len(self._tasks)}, {len(self._running())} running>"


async def _gone(tasks: Iterable[asyncio.Task[None]]) -> None:
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            log.error("A registry follower stopped with an error.", exc_info=ended)
