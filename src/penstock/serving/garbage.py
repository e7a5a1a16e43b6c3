"""The garbage collector, kept out of requests' way.

Full collections walk every object of the imported libraries, some tens of milliseconds at a time, and find nothing. So
what is there after a load is frozen, and young objects are looked at less often. When a version is closed, most go with
their last reference. Only where circles are to be feared, the frozen are thawed, collected while nothing is in flight,
and frozen again.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

# Allocations before the youngest generation is collected, a matter of 2 ms; a request makes a few hundred. The next one
# after so many of those: a load may make a million objects, and all of them at once would take 60 ms.
_YOUNG, _MIDDLE, _OLD = 50_000, 4, 500

_IDLE_CHECK_SECONDS = 0.25
_MAX_WAIT_SECONDS = 300.0


def settle(*, thaw: bool = True) -> None:
    """Collects all there is, or without `thaw` what came since, then takes what is left out of the collector's
    sight."""
    if thaw:
        gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


async def idle(busy: Callable[[], bool]) -> None:
    """Waits for a moment without requests, at most five minutes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _MAX_WAIT_SECONDS
    while busy() and loop.time() < deadline:  # noqa: ASYNC110  (idleness is a state, not an event)
        await asyncio.sleep(_IDLE_CHECK_SECONDS)


class GarbageCollector:
    """Collects what closed versions leave behind, when no request would notice. For a process that serves and does
    nothing else."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        # The whole mutable state: a collection to come, whether it must be thorough, whether there is no other.
        self._collecting: asyncio.Task[None] | None = None
        self._thaw = False
        self._closed = False

    def settle(self) -> None:
        """What is loaded by now is here to stay."""
        settle()

    def collect_soon(self, cyclic: bool) -> None:
        """A version has been closed; `cyclic` says that circles of objects may be left of it."""
        self._thaw = self._thaw or cyclic
        if not self._closed and (self._collecting is None or self._collecting.done()):
            self._collecting = asyncio.get_running_loop().create_task(self._collect_when_idle())

    async def _collect_when_idle(self) -> None:
        await idle(self._busy)
        settle(thaw=self._thaw)
        self._thaw = False

    def close(self) -> None:
        """A process that ends need not collect."""
        self._closed = True
        if self._collecting is not None:
            self._collecting.cancel()

    def __repr__(self) -> str:
        pending = self._collecting is not None and not self._collecting.done()
        return f"<GarbageCollector{', a collection pending' if pending else ''}>"
