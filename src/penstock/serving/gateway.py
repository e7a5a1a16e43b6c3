"""All served models: the single entry point for every protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from penstock.errors import ModelNotServed, Overloaded
from penstock.metrics import Metrics
from penstock.serving.batching.admission import InflightLimits, Limit, retry_after
from penstock.serving.exposition import Exposition, OwnMetrics
from penstock.serving.garbage import GarbageCollector
from penstock.serving.readiness import Readiness
from penstock.serving.servable import Servable
from penstock.serving.served_model import FORGET_AFTER, ServedModel
from penstock.serving.swap.sources import Sources, VersionSource


class Gateway:
    """Served models by name. `default` names the one that answers where a request names none.

    `models` are there from the start; `names` are those that must be loaded before the gateway is ready, `models` where
    it is None: it may name models that are added later, which then have the gateway for their events. `patterns` must
    have found and loaded what they could. `tidy` is for a process that serves and does nothing else: its garbage
    collector is kept out of the way. `inflight_limits` bounds the requests and body bytes in flight, over all models.
    `exposition` is what /metrics shows, this process's own metrics where it is None.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        metrics: Metrics,
        *,
        names: Sequence[str] | None = None,
        default: str | None = None,
        sources: Sequence[VersionSource] = (),
        patterns: Sequence[str] = (),
        tidy: bool = False,
        inflight_limits: InflightLimits | None = None,
        exposition: Exposition | None = None,
    ) -> None:
        # The whole mutable state: the models, those that are leaving, whether it drains, and how many workers serve of
        # how many; its parts name their own.
        self._models = {model.name: model for model in models}
        self._leaving: set[asyncio.Task[None]] = set()
        self.draining = False  # read for every request
        self._worker_count: tuple[int, int] | None = None
        self.metrics = metrics
        names = list(self._models) if names is None else names
        only = names[0] if len(names) == 1 and not patterns else None
        self.default = default if default is not None else only
        self.readiness = Readiness(self._loaded, names, patterns)
        metrics.ready.set_function(lambda: float(self.ready))
        self.inflight_limits = inflight_limits or InflightLimits()
        metrics.open_requests.set_function(lambda: float(self.inflight_limits.requests))
        metrics.open_limit.set(self.inflight_limits.max_requests)
        metrics.body_bytes.set_function(lambda: float(self.inflight_limits.bytes))
        metrics.body_limit.set(self.inflight_limits.max_bytes)
        self.sources = Sources(sources)
        self._garbage = GarbageCollector(self._busy) if tidy else None
        self._exposition = exposition or OwnMetrics(metrics)

    # -- models by name ------------------------------------------------------------------------------------------------

    @property
    def models(self) -> list[ServedModel]:
        return [self._models[name] for name in sorted(self._models)]

    def serves(self, name: str) -> bool:
        return name in self._models

    def add(self, model: ServedModel) -> None:
        """Serves one more model from now on."""
        assert model.name not in self._models
        self._models[model.name] = model

    def served(self, name: str) -> ServedModel | None:
        """The model that is served under a name."""
        return self._models.get(name)

    def remove(self, name: str) -> None:
        """No longer serves a model; requests that hold it are answered. What is counted of it goes in its time."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._models.pop(name).leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        loop.call_later(FORGET_AFTER, self._forget, name)

    def _forget(self, name: str) -> None:
        if name not in self._models:
            self.metrics.forget_model(name)

    def model(self, name: str | None) -> ServedModel:
        """The model of a name, or the default one. Raises ModelNotServed, which names those that are served."""
        if name is None:
            if self.default is None:
                raise ModelNotServed(
                    f"This server serves several models, so the path must name one: /models/NAME/invocations "
                    f"({self._served()})."
                )
            name = self.default
        if name not in self._models:
            raise ModelNotServed(f"This server has no model with that name ({self._served()}).")
        return self._models[name]

    def _loaded(self, name: str) -> bool:
        return (model := self._models.get(name)) is not None and model.ready

    def _served(self) -> str:
        return "served: " + (", ".join(sorted(self._models)) or "none")

    # -- requests ------------------------------------------------------------------------------------------------------

    def find(self, name: str | None, version: str | None = None) -> Servable:
        """The servable for a request. Raises ModelNotServed."""
        return self.model(name).find(version)

    def peek(self, name: str | None, version: str | None) -> Servable | None:
        """The servable that would answer now; None where `find` would raise."""
        served = self._models.get(name if name is not None else self.default or "")
        if served is None:
            return None
        if version is None:
            return served.current
        return next((s for s in served.versions if s.version == version), None)

    def admit(self, servable: Servable | None, timeout: float, declared: int = 0) -> None:
        """The check before a body of `declared` bytes is read: whether a request that may take `timeout` seconds would
        be refused whatever the body is. Raises Overloaded."""
        if (limit := self.inflight_limits.refuses(declared)) is not None:
            raise self.overloaded(limit)
        if servable is not None:
            servable.admit(timeout)

    def overloaded(self, limit: Limit) -> Overloaded:
        """The refusal of one more request, or of more bytes. All that is inside now is to leave first."""
        if limit == "requests":
            text = f"{self.inflight_limits.requests:,} requests are in flight, which is the limit."
        else:
            text = (
                f"The bodies of requests in flight hold {self.inflight_limits.bytes:,} bytes; the limit is "
                f"{self.inflight_limits.max_bytes:,}."
            )
        rate = sum(s.concurrency_limit.rate.value for model in self._models.values() for s in model.versions)
        return Overloaded(text, limit=limit, retry_after=retry_after(self.inflight_limits.requests, rate))

    # -- readiness and metrics -----------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        return self.readiness.ready

    @property
    def waiting_for(self) -> list[str]:
        """The models and patterns that are still to be loaded before it is ready."""
        return self.readiness.waiting_for

    @property
    def waiting_because(self) -> dict[str, str]:
        """For each of them the code of what keeps it from being loaded, `loading` where nothing is wrong."""
        known = self._models
        reason_of = self.readiness.reason_of
        return {name: known[name].waits_because if name in known else reason_of(name) for name in self.waiting_for}

    @property
    def stale(self) -> list[str]:
        """The models that answer though their registry, which does not, may name another version by now."""
        return [model.name for model in self._models.values() if model.stale]

    async def until_ready(self) -> None:
        """Returns once it is ready for the first time; never where it drains before."""
        await self.readiness.until_ready()

    def expect(self, models: Sequence[str], patterns: Sequence[str], default: str | None) -> None:
        """What it waits for until it is ready for the first time, and the model that answers where a request names
        none."""
        self.default = default
        self.readiness.expect(models, patterns)

    def pattern_started(self, pattern: str) -> None:
        self.readiness.pattern_started(pattern)

    def pattern_waits(self, pattern: str, because: str) -> None:
        self.readiness.pattern_waits(pattern, because)

    @property
    def worker_count(self) -> tuple[int, int] | None:
        """How many workers serve of how many; None where there is no other process."""
        return self._worker_count

    def set_worker_count(self, serving: int, wanted: int) -> None:
        self._worker_count = (serving, wanted)

    async def exposition(self) -> bytes:
        """The metrics of the server, in Prometheus' text format."""
        return await self._exposition.text()

    # -- events of its models (ModelEvents) ----------------------------------------------------------------------------

    def on_ready(self, model: str) -> None:
        self.readiness.check()

    def on_failed(self, model: str, version: str, reason: str) -> None:
        self.sources.give_up(model, version, reason)

    def on_closed(self, model: str, cyclic: bool) -> None:
        if self._garbage is not None:
            self._garbage.collect_soon(cyclic)

    def _busy(self) -> bool:
        return any(servable.metrics.in_flight.value for model in self.models for servable in model.versions)

    # -- beginning and end ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Loads every model, then goes on following those that move. Raises what loading raises."""
        await self.sources.start()
        self.settle()

    def settle(self) -> None:
        """What is loaded by now is here to stay: the garbage collector need not look at it."""
        if self._garbage is not None:
            self._garbage.settle()

    def drain(self) -> None:
        """Not ready from now on; requests are still answered."""
        self.draining = True
        self.readiness.drain()

    async def close(self) -> None:
        """Stops following, finishes what is being worked on, releases the models."""
        self.drain()
        if self._garbage is not None:
            self._garbage.close()
        await self.sources.close()
        for model in self._models.values():
            await model.close()
        while self._leaving:
            await asyncio.wait(self._leaving)
        self._exposition.close()

    def __repr__(self) -> str:
        return f"<Gateway {'ready' if self.ready else 'not ready'}: {', '.join(map(repr, self.models))}>"
