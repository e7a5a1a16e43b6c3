"""One model process from start to start: serves, is watched, and is replaced when it ends."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import Any, Literal, Protocol, TypeAlias

from penstock.errors import PenstockError
from penstock.machine.memory import resident_bytes
from penstock.model_process.client.async_client import ModelProcessClient
from penstock.model_process.client.package_process import OnLaunched
from penstock.model_process.client.start import ModelProcessHandle, Started
from penstock.serving.runners.restart_policy import Next, after_end

log = logging.getLogger("penstock.serving")

ProcessState: TypeAlias = Literal["starting", "ready", "waiting", "failed"]
STATES: tuple[ProcessState, ...] = ("starting", "ready", "waiting", "failed")

# How long a process may take to end that was asked to.
_LINGER = 5.0

# A process that crashes closes its files before it is gone.
_LAST_MOMENTS = 2.0


class ProcessListener(Protocol):
    """What a model process tells whoever uses it."""

    def changed(self) -> None:
        """Its state is another one."""

    def restarting(self) -> None: ...

    def failed(self, why: str) -> None:
        """It has crashed too often."""


class ModelProcess:
    """Keeps one process of a version running until it is closed. Used on the event loop only."""

    def __init__(
        self,
        who: str,
        started: Started,
        again: Callable[[OnLaunched], Started],
        owner: ProcessListener,
        *,
        time_limit: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._who = who
        self._again = again
        self._owner = owner
        self._time_limit = time_limit
        self._clock = clock
        self._chance = chance
        # The whole mutable state: what it does, the process and the wire to it or the process that still loads, crashes
        # in a row and restarts in all, when the next start is due, whether it is the last one.
        self.state: ProcessState = "starting"
        self._started: Started | None = started
        self._loading: ModelProcessHandle | None = None
        self.link: ModelProcessClient | None = None
        self._crashes = 0
        self.restarts = 0
        self._due = 0.0
        self._closing = asyncio.Event()
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """The model's own process, where there is one."""
        return self._started.process.model_pid() if self._started is not None else None

    @property
    def keeper(self) -> int | None:
        """The process around it."""
        return self._started.process.keeper if self._started is not None else None

    @property
    def memory_bytes(self) -> int:
        """What it holds in memory now; 0 where there is none, or nobody can tell."""
        pid = self.pid
        return resident_bytes(pid) if pid is not None else 0

    @property
    def due_in(self) -> float:
        """Seconds until the next start is tried; 0 while one is under way."""
        return max(0.0, self._due - self._clock()) if self.state in ("waiting", "failed") else 0.0

    async def _keep(self) -> None:
        while not self._closing.is_set():
            served, how = 0.0, ""
            if self._started is None:
                how = await self._restart()
            if self._started is not None:
                began = self._clock()
                how = await self._serve(self._started)
                served = self._clock() - began
                self._started = None
            if not self._closing.is_set():
                await self._pause(after_end(self._crashes, served, self._chance()), how)

    async def _restart(self) -> str:
        """Starts a process; says why that failed, where it did."""
        self._enter("starting")
        try:
            self._started = await asyncio.to_thread(self._again, self._launched)
        except (PenstockError, OSError) as error:
            return f"cannot be started again: {error}"
        finally:
            self._loading = None
        self.restarts += 1
        self._owner.restarting()
        return ""

    def _launched(self, process: ModelProcessHandle) -> None:
        """Called in the thread that starts it."""
        self._loading = process
        if self._closing.is_set():
            process.kill()

    async def _serve(self, started: Started) -> str:
        """Until the process ends, or is found wanting. Returns how it ended."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[str] = loop.create_future()
        link = ModelProcessClient(started.incoming, lost.set_result, self._time_limit)
        process = started.process
        await loop.create_unix_connection(lambda: link, sock=process.sock)
        closing = loop.create_task(self._closing.wait())
        self.link = link
        self._enter("ready")
        until: list[asyncio.Future[Any]] = [lost, closing]
        await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        self.link = None
        ended = asyncio.wrap_future(process.ended)
        if not lost.done():  # told to end
            link.finish()
        patience = 0.0 if lost.done() and lost.result() else _LINGER if not lost.done() else _LAST_MOMENTS
        with suppress(TimeoutError):  # so that it ends as it would have, and that is told
            await asyncio.wait_for(asyncio.shield(ended), patience)
        closing.cancel()
        process.kill()
        how = await ended
        return (lost.result() if lost.done() else "") or how

    async def _pause(self, after: Next, how: str) -> None:
        self._crashes = after.crashes
        self._due = self._clock() + after.delay
        log.error(
            "%s: its process %s%s; another one starts %s.",
            self._who,
            how,
            f", {after.crashes} times in a row" if after.crashes > 1 else "",
            f"in {after.delay:.1f} s" if after.delay else "at once",
        )
        self._enter("failed" if after.failed else "waiting")
        if after.failed:
            self._owner.failed(how)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), after.delay)

    def _enter(self, state: ProcessState) -> None:
        self.state = state
        self._owner.changed()

    @property
    def retry_after(self) -> int:
        """Whole seconds after which a caller may find it up."""
        return max(1, ceil(self.due_in))

    async def close(self) -> None:
        """Lets the process finish what it was asked, and end."""
        self._closing.set()
        if (loading := self._loading) is not None:
            loading.kill()
        await self._keeping

    def __repr__(self) -> str:
        return f"<ModelProcess {self.state}, {self.restarts} restarts, {self.link!r}>"
