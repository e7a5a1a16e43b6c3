"""Threads that predict, watched: one that works for longer than any request may does so for good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import isinf
from time import perf_counter

from penstock.errors import ModelProcessLost
from penstock.payload import Params, Payload
from penstock.serving.runners.runner import ThreadRunner

# How often a thread is looked at while it may work.
_LOOKS = 4

RETRY_SECONDS = 5


class ThreadWatch:
    """Calls `on_stuck` once, when a thread of the runner has worked on one batch for `limit` seconds."""

    def __init__(
        self,
        runner: ThreadRunner,
        limit: float,
        on_stuck: Callable[[], None],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._runner = runner
        self._limit = limit
        self._on_stuck = on_stuck
        self._clock = clock
        # The whole mutable state: when it looks next.
        self._next: asyncio.TimerHandle | None = None
        if not isinf(limit):
            self._look_later()

    def _look_later(self) -> None:
        self._next = asyncio.get_running_loop().call_later(self._limit / _LOOKS, self.look)

    def look(self) -> None:
        """Looks once, and again later where nothing is stuck."""
        self.close()
        since = min(list(self._runner.working_since.values()), default=None)
        if since is not None and self._clock() - since >= self._limit:
            self._on_stuck()
        else:
            self._look_later()

    def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def __repr__(self) -> str:
        return f"<ThreadWatch of {self._runner!r}, {self._limit:g} s>"


def hangs() -> ModelProcessLost:
    """What callers are told meanwhile."""
    error = ModelProcessLost("The model hangs; a process of its own takes its place soon.", hint="Try again.")
    error.retry_after = RETRY_SECONDS
    return error


class ReplacedRunner:
    """Stands for a model that hangs until a process takes its place: every prediction is asked for again later."""

    run_now = None
    slots = together = 1
    ahead = 0

    def run(self, payload: Payload, params: Params) -> Awaitable[tuple[Payload, float]]:
        """Raises ModelProcessLost."""
        raise hangs()

    async def close(self) -> None:
        """There is nothing to close."""

    def __repr__(self) -> str:
        return "<ReplacedRunner>"
