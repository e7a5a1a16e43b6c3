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

_LOOK_EVERY = 0.25
_WAIT_AT_MOST = 300.0


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
    until = loop.time() + _WAIT_AT_MOST
    while busy() and loop.time() < until:  # noqa: ASYNC110  (idleness is a state that nobody announces)
        await asyncio.sleep(_LOOK_EVERY)
