"""All served models: the single door for every protocol."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from penstock.errors import ModelNotServed, Overloaded
from penstock.metrics import Metrics
from penstock.serving.batching.admission import InflightLimits, Limit, retry_after
from penstock.serving.garbage import idle, settle
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.follower import VersionSource

log = logging.getLogger("penstock.serving")

T = TypeVar("T")


class Gateway:
    """Served models by name. `default` names the one that answers where a request names none.

    Ready means: every model named at the start is loaded and proven, every pattern has found and loaded what it could,
    and nothing drains. Once ready, it stays so until it drains: a model that comes later has no say in it.
    `tidy` is for a process that serves and does nothing else: its garbage collector is kept out of the way. `intake`
    limits what all models together hold at once.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        metrics: Metrics,
        *,
        default: str | None = None,
        sources: Sequence[VersionSource] = (),
        patterns: Sequence[str] = (),
        tidy: bool = False,
        intake: InflightLimits | None = None,
    ) -> None:
        self._models = {model.name: model for model in models}
        self.metrics = metrics
        self._named = [model.name for model in models]
        self._patterns = bool(patterns)
        alone = len(models) == 1 and not patterns
        self.default = default if default is not None else (models[0].name if alone else None)
        # The whole mutable state: the models; the sources at work; the patterns that have not begun; models that are
        # leaving; a collection to come and whether it must be thorough, whether it was ready once and whoever waits for
        # that, whether it is on its way out.
        self._sources = list(sources)
        self._beginning = set(patterns)
        self._leaving: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._tidying: asyncio.Task[None] | None = None
        self._thaw = False
        self._was_ready = False
        self._became_ready = asyncio.Event()
        self.draining = False
        self.intake = intake or InflightLimits()
        metrics.open_requests.set_function(lambda: float(self.intake.requests))
        metrics.open_limit.set(self.intake.max_requests)
        metrics.body_bytes.set_function(lambda: float(self.intake.bytes))
        metrics.body_limit.set(self.intake.max_bytes)
        # What /metrics shows, and how many workers serve of how many: a worker's process puts its own answers here.
        self.exposition: Callable[[], Awaitable[bytes]] = self._own_exposition
        self.company: tuple[int, int] | None = None
        self._scraper = ThreadPoolExecutor(1, "penstock-scrape")
        metrics.ready.set_function(lambda: float(self.ready))
        self._tidy = tidy
        for model in models:
            model.on_ready = self._look
            if tidy:
                model.on_closed = self._tidy_soon

    @property
    def models(self) -> list[ServedModel]:
        return [self._models[name] for name in sorted(self._models)]

    @property
    def waiting_for(self) -> list[str]:
        """The models and patterns that it takes to be ready, and that are not."""
        return [*(name for name in self._named if not self._models[name].ready), *sorted(self._beginning)]

    @property
    def ready(self) -> bool:
        some = bool(self._named) or self._patterns
        self._was_ready = self._was_ready or (some and not self.waiting_for)
        return self._was_ready and not self.draining

    def begun(self, pattern: str) -> None:
        """What the pattern found first is loaded, or was tried."""
        self._beginning.discard(pattern)
        self._look()

    def _look(self) -> None:
        if self.ready:
            self._became_ready.set()

    async def until_ready(self) -> None:
        """Returns once it is ready for the first time; never where it drains before."""
        self._look()
        await self._became_ready.wait()

    def add_source(self, source: VersionSource) -> None:
        """Before the start."""
        self._sources.append(source)

    def serves(self, name: str) -> bool:
        return name in self._models

    def add(self, model: ServedModel) -> None:
        """Serves one more model from now on."""
        assert model.name not in self._models
        self._models[model.name] = model
        if self._tidy:
            model.on_closed = self._tidy_soon

    def remove(self, name: str) -> None:
        """Serves a model that was added no more; the requests that hold it are answered."""
        task = asyncio.get_running_loop().create_task(self._models.pop(name).leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def model(self, name: str | None) -> ServedModel:
        """The model of a name, or the default one. Raises ModelNotServed, which names those that are served."""
        if name is None:
            if self.default is None:
                raise ModelNotServed(
                    f"Several models are served here, so the path must name one: /models/NAME/invocations "
                    f"({self._served()})."
                )
            name = self.default
        if name not in self._models:
            raise ModelNotServed(f"There is no model of that name here ({self._served()}).")
        return self._models[name]

    def _served(self) -> str:
        return "served: " + (", ".join(sorted(self._models)) or "none")

    def find(self, name: str | None, version: str | None = None) -> Servable:
        """The servable for a request. Raises ModelNotServed."""
        return self.model(name).find(version)

    def peek(self, name: str | None, version: str | None) -> Servable | None:
        """The servable that would answer now; None where `find` would complain."""
        served = self._models.get(name if name is not None else self.default or "")
        if served is None:
            return None
        if version is None:
            return served.current
        return next((s for s in served.versions if s.version == version), None)

    def admit(self, servable: Servable | None, patience: float, declared: int = 0) -> None:
        """The check before a body of so many declared bytes is read: whether a caller who waits for so many seconds
        would be refused whatever it sends. Raises Overloaded."""
        if (limit := self.intake.refuses(declared)) is not None:
            raise self.overloaded(limit)
        if servable is not None:
            servable.admit(patience)

    def overloaded(self, limit: Limit) -> Overloaded:
        """The refusal of one more request, or of more bytes. All that is inside now is to leave first."""
        if limit == "requests":
            said = f"{self.intake.requests:,} requests are open, and no more may be."
        else:
            said = (
                f"The bodies of open requests hold {self.intake.bytes:,} bytes, and {self.intake.max_bytes:,} may be."
            )
        rate = sum(s.crowd.rate.value for model in self._models.values() for s in model.versions)
        return Overloaded(said, limit=limit, retry_after=retry_after(self.intake.requests, rate))

    async def start(self) -> None:
        """Loads every model, then goes on following those that move. Raises what loading raises."""
        for source in self._sources:
            await source.start()
            self._tasks.append(asyncio.create_task(source.run()))
        if self._tidy:
            settle()

    async def _own_exposition(self) -> bytes:
        """Written in a thread: it takes a millisecond for each version, in which no request would move."""
        return await self.scrape(self.metrics.render)

    async def scrape(self, read: Callable[[], T]) -> T:
        """What `read` makes of the metrics, in a thread for nothing else: loads may keep all others."""
        return await asyncio.get_running_loop().run_in_executor(self._scraper, read)

    def _tidy_soon(self, cyclic: bool) -> None:
        """A version has gone: what it left behind is collected when no request would notice."""
        self._thaw = self._thaw or cyclic
        if not self.draining and (self._tidying is None or self._tidying.done()):
            self._tidying = asyncio.get_running_loop().create_task(self._tidy_when_idle())

    async def _tidy_when_idle(self) -> None:
        await idle(self._busy)
        settle(thaw=self._thaw)
        self._thaw = False

    def _busy(self) -> bool:
        return any(servable.metrics.in_flight.value for model in self.models for servable in model.versions)

    def drain(self) -> None:
        """Not ready from now on; requests are still answered."""
        self.draining = True

    async def close(self) -> None:
        """Stops following, finishes what is being worked on, releases the models."""
        self.drain()
        for task in (*self._tasks, *([self._tidying] if self._tidying else [])):
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("Following a registry ended with an error.", exc_info=ended)
        self._tasks.clear()
        for model in self._models.values():
            await model.close()
        while self._leaving:
            await asyncio.wait(self._leaving)
        self._scraper.shutdown()

    def __repr__(self) -> str:
        return f"<Gateway {'ready' if self.ready else 'not ready'}: {', '.join(map(repr, self.models))}>"
