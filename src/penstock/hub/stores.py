"""The stores behind a hub, asked from its event loop: writes are submitted, reads run in a few threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

from penstock.errors import RegistryUnavailable
from penstock.registry import Registry
from penstock.tracking.interface import Done, TrackingStore
from penstock.tracking.writes import Write

log = logging.getLogger("penstock.hub")

# What a write came to: what the store answers it with, or why it was refused.
OnEnd: TypeAlias = Callable[[Any, BaseException | None], None]

T = TypeVar("T")
R = TypeVar("R")

# Reads at once. They hold the interpreter most of the time, so more would only wait for each other.
_READERS = 4

# How long a read may wait for one of these threads. They are all waiting themselves then, for a database that answers
# nothing: whoever comes later would be answered later and later, long after his patience.
_QUEUE_SECONDS = 20.0


class HubStores:
    """Made on the event loop that it is used on. Closing it closes the stores."""

    def __init__(self, tracking: TrackingStore, registry: Registry) -> None:
        self.tracking = tracking
        self.registry = registry
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="penstock-reads")
        # The whole mutable state: reads that waited too long and were not begun.
        self._given_up: set[Future[Any]] = set()

    async def write(self, change: Write[R]) -> R:
        """Returns once it is kept. A caller that leaves takes nothing back."""
        future: asyncio.Future[R] = self._loop.create_future()
        self.submit(change, partial(_settle, future))
        return await future

    def submit(self, change: Write[R], on_end: OnEnd) -> None:
        """Has it written, and `on_end` called on the event loop once it is kept or refused. Raises Closing."""
        self.tracking.submit(change, on_end, self._on_done)

    async def read(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function that waits for a store returns, run in a thread. Raises RegistryUnavailable where no thread
        is free in time."""
        work = self._threads.submit(function, *arguments)
        impatience = self._loop.call_later(_QUEUE_SECONDS, self._give_up, work)
        try:
            return await asyncio.wrap_future(work, loop=self._loop)
        except asyncio.CancelledError:
            if work not in self._given_up:
                raise
            raise RegistryUnavailable(
                f"The registry at {self.tracking.place} keeps all who ask it waiting.", hint="Try again in a moment."
            ) from None
        finally:
            impatience.cancel()
            self._given_up.discard(work)

    async def close(self) -> None:
        await self._loop.run_in_executor(None, self.tracking.close)
        await self._loop.run_in_executor(None, self.registry.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, work: Future[Any]) -> None:
        """One that runs already goes on."""
        if work.cancel():
            self._given_up.add(work)

    def _on_done(self, done: Sequence[Done]) -> None:
        """In the thread that commits: one wake-up of the loop for all writes of a commit."""
        try:
            self._loop.call_soon_threadsafe(_finish, done)
        except RuntimeError:  # the loop is closed, and with it everybody who waited
            return


def _finish(done: Sequence[Done]) -> None:
    for each in done:
        on_end: OnEnd = each.ticket  # type: ignore[assignment]
        try:
            on_end(each.result, each.error)
        except Exception:  # a fault of one caller's: others wait for this loop, too
            log.exception("Nobody could be told how a write ended.")


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # its caller has left
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
