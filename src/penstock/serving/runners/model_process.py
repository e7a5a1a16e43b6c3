"""One model process after the other: each serves, is watched, and is replaced when it ends."""

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
from penstock.machine.restart_policy import Restart, next_restart
from penstock.model_process.client.async_client import ModelProcessClient
from penstock.model_process.client.package_process import OnLaunched
from penstock.model_process.client.start import ModelProcessHandle, Started

log = logging.getLogger("penstock.serving")

ProcessState: TypeAlias = Literal["starting", "ready", "waiting", "failed"]
STATES: tuple[ProcessState, ...] = ("starting", "ready", "waiting", "failed")

# How long a process may take to end that was asked to.
_END_TIMEOUT = 5.0

# A process that crashes closes its files before it is gone.
_CRASH_TIMEOUT = 2.0


class ProcessListener(Protocol):
    """What a model process reports to its runner."""

    def on_state_change(self) -> None: ...

    def on_restart(self) -> None: ...

    def on_failed(self, why: str) -> None:
        """It has crashed too often."""


class ModelProcess:
    """Keeps one process of a version running until it is closed. Used on the event loop only."""

    def __init__(
        self,
        label: str,
        started: Started,
        again: Callable[[OnLaunched], Started],
        listener: ProcessListener,
        *,
        time_limit: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._label = label
        self._again = again
        self._listener = listener
        self._time_limit = time_limit
        self._clock = clock
        self._chance = chance
        # The whole mutable state: what it does, the process and the client that asks it, or the process that still
        # loads; crashes in a row and restarts in all, when the next start is due, whether the version is being closed.
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
        """The model process, where there is one."""
        return self._started.process.model_pid() if self._started is not None else None

    @property
    def keeper(self) -> int | None:
        """The process around it."""
        return self._started.process.keeper if self._started is not None else None

    @property
    def memory_bytes(self) -> int:
        """What it holds in memory now; 0 where there is no process, or the system does not say."""
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
                await self._pause(next_restart(self._crashes, served, self._chance()), how)

    async def _restart(self) -> str:
        """Starts a process. Returns why that failed; empty where it did not."""
        self._enter("starting")
        try:
            self._started = await asyncio.to_thread(self._again, self._launched)
        except (PenstockError, OSError) as error:
            return f"cannot be restarted: {error}"
        finally:
            self._loading = None
        self.restarts += 1
        self._listener.on_restart()
        return ""

    def _launched(self, process: ModelProcessHandle) -> None:
        """Called in the thread that starts it."""
        self._loading = process
        if self._closing.is_set():
            process.kill()

    async def _serve(self, started: Started) -> str:
        """Until the process ends or does not answer in time. Returns how it ended."""
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
        if not lost.done():  # the version is being closed
            link.finish()
        timeout = 0.0 if lost.done() and lost.result() else _END_TIMEOUT if not lost.done() else _CRASH_TIMEOUT
        with suppress(TimeoutError):  # so that its exit status is its own, and not that of the kill
            await asyncio.wait_for(asyncio.shield(ended), timeout)
        closing.cancel()
        process.kill()
        how = await ended
        return (lost.result() if lost.done() else "") or how

    async def _pause(self, restart: Restart, how: str) -> None:
        self._crashes = restart.crashes
        self._due = self._clock() + restart.delay
        log.error(
            "%s: the model process %s%s; restarting it %s.",
            self._label,
            how,
            f", {restart.crashes} times in a row" if restart.crashes > 1 else "",
            restart.when,
        )
        self._enter("failed" if restart.unfit else "waiting")
        if restart.unfit:
            self._listener.on_failed(how)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), restart.delay)

    def _enter(self, state: ProcessState) -> None:
        self.state = state
        self._listener.on_state_change()

    @property
    def retry_after(self) -> int:
        """Whole seconds after which a caller may find it ready."""
        return max(1, ceil(self.due_in))

    async def close(self) -> None:
        """Lets the process finish what it was asked, and end."""
        self._closing.set()
        if (loading := self._loading) is not None:
            loading.kill()
        await self._keeping

    def __repr__(self) -> str:
        return f"<ModelProcess {self.state}, {self.restarts} restarts, {self.link!r}>"
