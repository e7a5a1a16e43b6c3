"""Whether a server is ready: once everything named at its start is loaded, and until it drains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable


class Readiness:
    """Ready means: every model of `names` is loaded, and so is what `patterns` found first, or it was tried.

    `loaded` says whether a model is. Once ready, it stays so until it drains: a model that comes later has no say in
    it. With no name and no pattern it is never ready.
    """

    def __init__(self, loaded: Callable[[str], bool], names: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._loaded = loaded
        # The whole mutable state: what is expected, the patterns among it that have not started, whether it was ready
        # once and the event of that, whether it drains.
        self._names = list(names)
        self._patterns = set(patterns)
        self._starting = set(patterns)
        self._was_ready = False
        self._became_ready = asyncio.Event()
        self._draining = False

    def expect_model(self, name: str) -> None:
        """Before the start: a model that must be loaded first."""
        self._names.append(name)

    def expect_pattern(self, pattern: str) -> None:
        """Before the start: a pattern that must have started first."""
        self._patterns.add(pattern)
        self._starting.add(pattern)

    @property
    def waiting_for(self) -> list[str]:
        """The models and patterns that are not loaded yet."""
        return [*(name for name in self._names if not self._loaded(name)), *sorted(self._starting)]

    @property
    def ready(self) -> bool:
        expected = bool(self._names or self._patterns)
        self._was_ready = self._was_ready or (expected and not self.waiting_for)
        return self._was_ready and not self._draining

    def pattern_started(self, pattern: str) -> None:
        """What the pattern found first is loaded, or was tried."""
        self._starting.discard(pattern)
        self.check()

    def check(self) -> None:
        """Something is loaded: wakes `until_ready` if it was the last."""
        if self.ready:
            self._became_ready.set()

    async def until_ready(self) -> None:
        """Returns once it is ready for the first time; never where it drains before."""
        self.check()
        await self._became_ready.wait()

    def drain(self) -> None:
        """Not ready from now on."""
        self._draining = True

    def __repr__(self) -> str:
        state = "draining" if self._draining else "ready" if self.ready else f"waiting for {self.waiting_for}"
        return f"<Readiness: {state}>"
