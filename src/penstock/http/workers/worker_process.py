"""One worker process after the other: started, watched, and started again when it ends."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal, Protocol, TypeAlias

from penstock.http.workers.channel import Channel, WorkerMessage
from penstock.http.workers.messages import Drain, Heartbeat
from penstock.machine.exit_status import how_it_ended
from penstock.machine.restart_policy import next_restart

log = logging.getLogger("penstock.server")

Launch: TypeAlias = Callable[[], Awaitable[tuple[asyncio.subprocess.Process, Channel]]]
WorkerState: TypeAlias = Literal["starting", "serving", "waiting"]
WORKER_STATES: tuple[WorkerState, ...] = ("starting", "serving", "waiting")

# How long a process may take to end by itself once its channel is closed.
_END_TIMEOUT = 5.0


class WorkerListener(Protocol):
    """What a worker process reports."""

    def on_message(self, worker: WorkerProcess, message: WorkerMessage) -> None: ...

    def on_ended(self, worker: WorkerProcess, how: str) -> None:
        """Its process has ended; before the next one starts."""

    def is_needed(self, worker: WorkerProcess) -> bool:
        """Whether no other one serves, or is being started."""

    def on_restart(self, worker: WorkerProcess) -> None: ...

    def on_state_change(self) -> None: ...


class WorkerProcess:
    """Keeps one worker running until it is stopped. `number` counts from 1; `start` is the first message to each new
    process."""

    def __init__(
        self,
        number: int,
        launch: Launch,
        start: WorkerMessage,
        listener: WorkerListener,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.number = number
        self._launch = launch
        self._start = start
        self._listener = listener
        self._clock = clock
        self._chance = chance
        # The whole mutable state: the process and its channel, its state, since when it serves, crashes in a row,
        # whether no other process comes, whether the last one served and whether this is the last worker there was;
        # whether it is ready for commands, the heartbeats it has missed, and whether it was killed.
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self.state: WorkerState = "starting"
        self.ready = False
        self.missed = 0  # heartbeats asked for, or looked out for, since its last message
        self._serving_since: float | None = None
        self._crashes = 0
        self._stopping = asyncio.Event()
        self._is_last = asyncio.Event()
        self._has_served = False
        self._killed = False

    async def keep_running(self) -> None:
        """Runs one process after the other until `stop`."""
        while not self._stopping.is_set():
            how = await self._run()
            served = self._clock() - self._serving_since if self._serving_since is not None else 0.0
            self._serving_since, self.ready, self.missed = None, False, 0
            self._listener.on_ended(self, how)
            if not self._stopping.is_set():
                await self._pause(how, served)

    async def _run(self) -> str:
        """One process, from start to end. Returns how it ended."""
        self._enter("starting")
        self._killed = False
        try:
            self._process, self._channel = await self._launch()
        except OSError as error:
            return f"could not be started ({error.strerror})"
        reading = asyncio.create_task(self._read(self._process, self._channel))
        self._channel.send(self._start)
        if self._stopping.is_set():
            self.kill()
        code = await self._process.wait()
        await asyncio.wait([reading], timeout=1.0)  # its last messages are on their way; a child may hold the channel
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await self._channel.close()
        self._process = self._channel = None
        return how_it_ended(code)

    async def _read(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        try:
            async for message in channel:
                self.missed = 0
                self._listener.on_message(self, message)
        except Exception:  # from here on its messages would be lost: it starts anew
            log.exception("Worker %d sent a message that cannot be handled; killing the worker.", self.number)
            self.kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), _END_TIMEOUT)
            return
        self.kill()

    async def _pause(self, how: str, served: float) -> None:
        alone = self._listener.is_needed(self)
        restart = next_restart(self._crashes, served, self._chance(), alone=alone)
        self._crashes = restart.crashes
        log.error(
            "Worker %d %s%s; restarting the worker %s.",
            self.number,
            how,
            f", crash {restart.crashes} in a row" if restart.crashes > 1 else "",
            restart.when,
        )
        self._has_served = served > 0
        self._enter("waiting")
        if not self._is_last.is_set():
            await self._rest(restart.delay)
        self._is_last.clear()
        if not self._stopping.is_set():
            self._listener.on_restart(self)

    async def _rest(self, delay: float) -> None:
        """For so long, unless it is to end, or is the last that could answer."""
        events = [asyncio.create_task(event.wait()) for event in (self._stopping, self._is_last)]
        await asyncio.wait(events, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        for event in events:
            event.cancel()

    def hurry(self) -> None:
        """All others have ended, too: one that has served starts again at once, since nobody is answered meanwhile."""
        if self.state == "waiting" and self._has_served:
            self._is_last.set()

    def _enter(self, state: WorkerState) -> None:
        self.state = state
        self._listener.on_state_change()

    def set_serving(self) -> None:
        """It takes requests from now on."""
        self._serving_since = self._clock()
        self._enter("serving")

    def send(self, message: WorkerMessage) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def check_heartbeat(self, max_missed: int, max_missed_at_start: int) -> None:
        """Asks for a heartbeat. A process that has missed too many hangs, and is killed: counted and not timed, since a
        machine that sleeps is no fault of the process. One that starts cannot be asked, and has a limit of its own
        until it is ready."""
        if self._process is None or self._process.returncode is not None or self._killed:
            return
        if self.missed >= (max_missed if self.ready else max_missed_at_start):
            log.error(
                "Worker %d sends no heartbeat%s; killing the worker.",
                self.number,
                "" if self.ready else " since its start",
            )
            self.kill()
            return
        self.missed += 1
        if self.ready:
            self.send(Heartbeat())

    def stop(self, delay: float | None) -> None:
        """No other process comes. The one that is there drains after `delay`; it ends at once where that is None, or it
        takes no requests yet: it has nothing to finish, and would first wait for the load that it is in."""
        self._stopping.set()
        if self.state == "serving" and delay is not None:
            self.send(Drain(delay))
        else:
            self.kill()

    def kill(self) -> None:
        """Ends the process at once. It is asked once: to ask again, `subprocess` looks whether it has ended, and takes
        how it did from the event loop."""
        if self._process is not None and self._process.returncode is None and not self._killed:
            self._killed = True
            with suppress(ProcessLookupError):
                self._process.kill()

    def __repr__(self) -> str:
        pid = self._process.pid if self._process else None
        return f"<WorkerProcess {self.number} {self.state}, process {pid}, {self._crashes} crashes>"
