"""Whether a server is ready: once everything named at its start is loaded, and until it drains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from penstock.metrics import Metrics
from penstock.serving.served_model import ServedModel


class Readiness:
    """`models` are all that are served, `names` those that must be loaded first, as must what `patterns` find first.

    Once ready, it stays so until it drains: a model that comes later has no say in it. With no name and no pattern it
    is never ready.
    """

    def __init__(
        self, models: Mapping[str, ServedModel], names: Sequence[str], patterns: Iterable[str], metrics: Metrics
    ) -> None:
        self._models = models
        self._names = list(names)
        # The whole mutable state: patterns that have not started, whether it was ready once and the event of that,
        # whether it drains.
        self._starting = set(patterns)
        self._anything = bool(self._names or self._starting)
        self._was_ready = False
        self._became_ready = asyncio.Event()
        self._draining = False
        metrics.ready.set_function(lambda: float(self.ready))

    @property
    def waiting_for(self) -> list[str]:
        """The models and patterns that are not loaded yet."""
        return [*(name for name in self._names if not self._loaded(name)), *sorted(self._starting)]

    def _loaded(self, name: str) -> bool:
        model = self._models.get(name)
        return model is not None and model.ready

    @property
    def ready(self) -> bool:
        self._was_ready = self._was_ready or (self._anything and not self.waiting_for)
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
        waiting = self.waiting_for
        state = "draining" if self._draining else "ready" if self.ready else f"waiting for {', '.join(waiting)}"
        return f"<Readiness {state}>"
