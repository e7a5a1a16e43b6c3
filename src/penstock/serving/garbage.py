"""The garbage collector, kept out of requests' way.

Full collections walk every object of the imported libraries, some tens of milliseconds at a time, and find nothing. So
what is there after a load is frozen, and young objects are looked at less often. After a swap the old model's cycles
must go: the frozen are thawed, collected while nothing is in flight, and frozen again.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

# Allocations before the youngest generation is collected; a request makes a few hundred.
_YOUNG = 50_000

_LOOK_EVERY = 0.25
_WAIT_AT_MOST = 300.0


def settle() -> None:
    """Collects all there is, then takes what is left out of the collector's sight. Right after a first load."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)


async def settle_when_idle(busy: Callable[[], bool]) -> None:
    """Settles at a moment without requests, or after five minutes all the same."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _WAIT_AT_MOST
    while busy() and loop.time() < until:  # noqa: ASYNC110  (idleness is a state that nobody announces)
        await asyncio.sleep(_LOOK_EVERY)
    settle()
