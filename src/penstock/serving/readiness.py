"""Whether a server is ready: once everything that it waits for is loaded, and until it drains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable


class Readiness:
    """Ready means: every model of `names` is loaded, and so is what `patterns` found first, or it was tried.

    `loaded` says whether a model is. Once ready, it stays so until it drains: a model that comes later has no say in
    it. It is never ready before it knows what to wait for.
    """

    def __init__(self, loaded: Callable[[str], bool], names: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._loaded = loaded
        # The whole mutable state: what is waited for, whether that is known, the patterns that have started, what keeps
        # others from it, whether it was ready once and the event of that, whether it drains.
        self._names = list(names)
        self._patterns = list(patterns)
        self._is_known = bool(self._names or self._patterns)
        self._started: set[str] = set()
        self._reasons: dict[str, str] = {}
        self._was_ready = False
        self._became_ready = asyncio.Event()
        self._draining = False

    def expect(self, names: Iterable[str], patterns: Iterable[str]) -> None:
        """From now on it waits for these instead: nothing changes once it was ready."""
        self._names, self._patterns = list(names), list(patterns)
        self._is_known = True
        self.check()

    @property
    def expected(self) -> tuple[list[str], list[str]]:
        """The names and the patterns."""
        return self._names, self._patterns

    @property
    def was_ready(self) -> bool:
        """Whether it was ready once; it is so still, unless it drains."""
        self._was_ready = self._was_ready or (self._is_known and not self.waiting_for)
        return self._was_ready

    @property
    def waiting_for(self) -> list[str]:
        """The models and patterns that are not loaded yet; none once it was ready."""
        if self._was_ready:
            return []
        starting = sorted(set(self._patterns) - self._started)
        return [*(name for name in self._names if not self._loaded(name)), *starting]

    @property
    def ready(self) -> bool:
        return self.was_ready and not self._draining

    def pattern_started(self, pattern: str) -> None:
        """What the pattern found first is loaded, or was tried."""
        self._started.add(pattern)
        self._reasons.pop(pattern, None)
        self.check()

    def pattern_waits(self, pattern: str, because: str) -> None:
        """The code of what keeps the pattern from starting, `loading` where nothing does any more."""
        self._reasons[pattern] = because

    def reason_of(self, pattern: str) -> str:
        """That code; `loading` where nothing is wrong."""
        return self._reasons.get(pattern, "loading")

    @property
    def reasons(self) -> dict[str, str]:
        """Those codes, by the patterns that something is known of."""
        return dict(self._reasons)

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
