"""One worker's place: a process in it, and another one when that ends."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal, Protocol, TypeAlias

from penstock.machine.exit_status import how_it_ended
from penstock.server.workers.messages import Beat, Channel, Drain, Message, StartWorker
from penstock.serving.fleet.restarts import crashes_in_a_row, restart_delay

log = logging.getLogger("penstock.server")

Launch: TypeAlias = Callable[[], Awaitable[tuple[asyncio.subprocess.Process, Channel]]]
SlotState: TypeAlias = Literal["starting", "serving", "waiting"]
SLOT_STATES: tuple[SlotState, ...] = ("starting", "serving", "waiting")

# After its channel closed, a process that does not end by itself.
_LINGER = 5.0


class WorkerListener(Protocol):
    """What a slot tells the supervisor."""

    def said(self, slot: WorkerProcess, message: Message) -> None: ...

    def ended(self, slot: WorkerProcess, how: str) -> None:
        """Its process has ended; before the next one starts."""

    def restarting(self, slot: WorkerProcess) -> None: ...

    def changed(self) -> None:
        """A slot's state is another one."""


class WorkerProcess:
    """Keeps one worker running until it is told to stop. `number` counts from 1."""

    def __init__(
        self,
        number: int,
        launch: Launch,
        begin: StartWorker,
        owner: WorkerListener,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.number = number
        self._launch = launch
        self._begin = begin
        self._owner = owner
        self._clock = clock
        self._chance = chance
        # The whole mutable state: the process and its channel, what it does, since when it serves, crashes in a row,
        # whether it is the last one; whether it takes orders, and for how long it has been silent.
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self.state: SlotState = "starting"
        self.up = False  # it has said hello, and takes orders
        self.silent = 0  # signs of life asked for, or looked out for, since it last said something
        self._serving_since: float | None = None
        self._crashes = 0
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Runs one process after the other until `stop`."""
        while not self._stopping.is_set():
            how = await self._run()
            served = self._clock() - self._serving_since if self._serving_since is not None else 0.0
            self._serving_since, self.up, self.silent = None, False, 0
            self._owner.ended(self, how)
            if not self._stopping.is_set():
                await self._pause(how, served)

    async def _run(self) -> str:
        """One process, from start to end. Returns how it ended."""
        self._enter("starting")
        try:
            self._process, self._channel = await self._launch()
        except OSError as error:
            return f"could not be started ({error.strerror})"
        reading = asyncio.create_task(self._read(self._process, self._channel))
        self._channel.send(self._begin)
        if self._stopping.is_set():
            self.kill()
        code = await self._process.wait()
        await asyncio.wait([reading], timeout=1.0)  # its last words are on their way; a child of its own may hold on
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await self._channel.close()
        self._process = self._channel = None
        return how_it_ended(code)

    async def _read(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        try:
            async for message in channel:
                self.silent = 0
                self._owner.said(self, message)
        except Exception:  # nobody would listen to it any more: it starts anew
            log.exception("What worker %d said cannot be understood.", self.number)
            self.kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), _LINGER)
            return
        self.kill()

    async def _pause(self, how: str, served: float) -> None:
        self._crashes = crashes_in_a_row(self._crashes, served)
        delay = restart_delay(self._crashes, self._chance())
        log.error(
            "Worker %d %s%s; it starts again %s.",
            self.number,
            how,
            f", crash {self._crashes} in a row" if self._crashes > 1 else "",
            f"in {delay:.1f} s" if delay else "at once",
        )
        self._enter("waiting")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)
            return
        self._owner.restarting(self)

    def _enter(self, state: SlotState) -> None:
        self.state = state
        self._owner.changed()

    def serves(self) -> None:
        """It takes requests from now on."""
        self._serving_since = self._clock()
        self._enter("serving")

    def send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def beat(self, most: int, most_at_start: int) -> None:
        """Asks for a sign of life. A process that has not given one for so many times hangs, and is ended: counted and
        not timed, since a machine that sleeps is no fault of the process. One that starts cannot be asked, and has a
        patience of its own until it says hello."""
        if self._process is None or self._process.returncode is not None:
            return
        if self.silent >= (most if self.up else most_at_start):
            log.error(
                "Worker %d gives no sign of life%s, and is killed.", self.number, "" if self.up else " since its start"
            )
            self.kill()
            return
        self.silent += 1
        if self.up:
            self.send(Beat())

    def stop(self, delay: float | None) -> None:
        """No other process comes. The one that is there drains after `delay`; it ends at once where that is None, or it
        has not begun."""
        self._stopping.set()
        if self.up and delay is not None:
            self.send(Drain(delay))
        else:
            self.kill()

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def __repr__(self) -> str:
        pid = self._process.pid if self._process else None
        return f"<WorkerProcess {self.number} {self.state}, process {pid}, {self._crashes} crashes>"
