"""Waiting for aliases to move: gateways that follow the hub's registry ask once, and are answered when it happens.

One thread looks for all who wait, and only while somebody does. What is waited for is the state of all aliases, a text
that is the same in every process of every hub over the store; the store's change counter says when to look at it.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import thread_time

from penstock.errors import RegistryUnavailable
from penstock.registry import Registry
from penstock.tracking.interface import TrackingStore

log = logging.getLogger("penstock.hub")

# Seconds that a caller may wait, and how many may do so at once in one process: each is an open connection.
MAX_WAIT = 25.0
MAX_WAITING = 1000

# How long the counter is waited for at once, and how long to pause after the store has failed.
_ROUND_SECONDS = 1.0
_FAILED_SECONDS = 0.5

# Looking takes about this share of a processor, and happens so many seconds apart, however often something else in the
# store changes; but a move is not seen later than so many seconds for it.
_SHARE = 0.1
_LEAST_PAUSE = 0.05
_LONGEST_PAUSE = 0.1


class AliasWatch:
    """Used on one event loop. `tracking` has the change counter of the database that `registry` is in."""

    def __init__(self, tracking: TrackingStore, registry: Registry) -> None:
        self._tracking = tracking
        self._registry = registry
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-aliases")
        # The whole mutable state: who waits, the state when it was looked at last (None: not yet), the task that looks,
        # why it could not, the end.
        self._waiting: set[asyncio.Future[None]] = set()
        self._state: str | None = None
        self._looking: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._ended = False

    async def wait(self, state: str, seconds: float) -> str:
        """The state as soon as it is another one than `state`, or as it is after so many seconds, or at the end. Raises
        RegistryUnavailable where too many wait and after the end, and what asking the registry raises."""
        if self._ended:  # told the state at once, whoever waits would ask again at once, until nobody listens
            raise RegistryUnavailable("This hub is ending.", hint="Ask for the state now and then.")
        if len(self._waiting) >= MAX_WAITING:
            raise RegistryUnavailable(
                f"{MAX_WAITING:,} callers wait for aliases of this hub already.", hint="Ask for the state now and then."
            )
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self._ended:
            happened: asyncio.Future[None] = loop.create_future()
            self._waiting.add(happened)
            if self._looking is None or self._looking.done():
                self._state = None
                self._looking = loop.create_task(self._look())
            try:
                if self._state not in (None, state):
                    return str(self._state)
                await asyncio.wait([happened], timeout=max(0.0, until - loop.time()))
            finally:
                self._waiting.discard(happened)
            if self._error is not None:
                raise self._error
            if loop.time() >= until:
                break
        return self._state or state

    def end(self) -> None:
        """Those who wait are answered now."""
        self._ended = True
        self._tell()

    async def close(self) -> None:
        self.end()
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> None:
        """While somebody waits. A database that was restored counts from another number."""
        loop, counter = asyncio.get_running_loop(), -1
        while self._waiting and not self._ended:
            try:
                now = await loop.run_in_executor(self._thread, self._tracking.wait_for_change, counter, _ROUND_SECONDS)
                if now == counter:
                    continue
                found, took = await loop.run_in_executor(self._thread, self._timed_state)
            except Exception as error:
                log.debug("The state of the aliases cannot be read: %s", error)
                counter, self._error = -1, error
                self._tell()
                await asyncio.sleep(_FAILED_SECONDS)
                self._error = None
                continue
            counter = now
            if found != self._state:
                self._state = found
                self._tell()
            await asyncio.sleep(min(max(took / _SHARE, _LEAST_PAUSE), _LONGEST_PAUSE))

    def _timed_state(self) -> tuple[str, float]:
        """In the thread that looks: the state, and the processor's seconds that it took."""
        began = thread_time()
        return self._registry.aliases_state(), thread_time() - began

    def _tell(self) -> None:
        for happened in self._waiting:
            if not happened.done():
                happened.set_result(None)

    def __repr__(self) -> str:
        return f"<AliasWatch, {len(self._waiting)} waiting>"
