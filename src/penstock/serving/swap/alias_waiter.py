"""Following without delay: a registry that tells when an alias moves is waited for, and the followers ask at once then.

They go on asking now and then, so that nothing depends on this: a registry that cannot be waited for, or is away, is
followed as fast as it is asked.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from penstock.defaults import POLL_INTERVAL
from penstock.errors import PenstockError, Unsupported
from penstock.registry.interface import Registry

log = logging.getLogger("penstock.serving")

T = TypeVar("T")

# Seconds that the registry is waited for at once: a hub that is gone without a word is noticed after these.
WAIT_SECONDS = 20.0


class AliasWaiter:
    """One for each registry. `registry` gives the one that is followed now, None for none; `wake` is called when any of
    its aliases has moved. Where it cannot be waited for, it is looked at again every `interval` seconds."""

    def __init__(
        self, registry: Callable[[], Registry | None], wake: Callable[[], None], *, interval: float = POLL_INTERVAL
    ) -> None:
        self._registry = registry
        self._wake = wake
        self._interval = interval
        # The whole mutable state: what the aliases were when they were told last; empty before, and after a failure;
        # the registry that has said that it cannot be waited for.
        self._state = ""
        self._asked_alone: Registry | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                waited = await self._wait_once()
            except Exception as error:  # whatever a backend raises: the followers ask by themselves meanwhile
                log.log(
                    logging.DEBUG if isinstance(error, PenstockError) else logging.ERROR,
                    "The registry cannot be waited for, and is asked now and then: %s",
                    error,
                    exc_info=None if isinstance(error, PenstockError) else error,
                )
                self._state, waited = "", False
            if not waited:
                await asyncio.sleep(self._interval)

    async def _wait_once(self) -> bool:
        """Whether there is a registry that can be waited for."""
        registry = self._registry()
        if registry is None or registry is self._asked_alone:
            return False
        known = self._state
        try:
            self._state = await _in_a_thread(lambda: registry.wait_for_aliases(known, WAIT_SECONDS))
        except Unsupported:
            self._asked_alone = registry
            return False
        if self._state != known:
            self._wake()
        return True

    def __repr__(self) -> str:
        return f"<AliasWaiter for {self._registry()!r}>"


async def _in_a_thread(function: Callable[[], T]) -> T:
    """What a function returns that may be silent for long: in a thread that no end of the process waits for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: Exception | None) -> None:
        if done.done():  # nobody waits any more
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failed = None, None
        try:
            result = function()
        except Exception as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(finish, result, failed)

    threading.Thread(target=work, name="penstock-aliases", daemon=True).start()
    return await done
