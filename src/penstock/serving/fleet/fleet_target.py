"""One model in all workers at once: what a follower prepares and swaps there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from penstock.machine.throttle import background, throttled_if
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.serving.fleet.fleet_plan import FleetPlan, PlannedVersion
from penstock.serving.fleet.worker_fleet import WorkerFleet
from penstock.serving.served_model import LoadFailure, RegistryState
from penstock.serving.swap.preparing import Fetch
from penstock.serving.swap.target import StoppableLoads
from penstock.serving.swap.version_loader import VersionLoader

log = logging.getLogger("penstock.serving")


@dataclass(frozen=True, slots=True)
class FleetVersion:
    """A version that all workers have proven, by its number."""

    fleet: WorkerFleet = field(repr=False)
    model: str
    version: str

    def drop(self) -> None:
        self.fleet.drop_candidate(self.model)


class FleetTarget:
    """One model, in every worker at once. Where the fleet serves it already, versions are there that another source
    put there: they answer until this one has one of its own, loaded by another revision of the model's settings.
    `alias` is what the model follows then."""

    def __init__(self, fleet: WorkerFleet, name: str, metrics: Metrics, *, alias: str = "") -> None:
        self.name = name
        self.alias = alias
        self._fleet = fleet
        self._metrics = metrics
        # The whole mutable state: whether what answers is still another's.
        self._foreign = fleet.serves(name)
        if not self._foreign:
            fleet.add_model(name, alias)
        self.revision = fleet.next_revision(name) if self._foreign else 0

    @property
    def current(self) -> str | None:
        return None if self._foreign else self.answering

    @property
    def previous(self) -> str | None:
        previous = self._fleet.plan(self.name).previous
        return previous.version if previous is not None and not self._foreign else None

    @property
    def answering(self) -> str | None:
        current = self._fleet.plan(self.name).current
        return None if current is None else current.version

    async def prepare(self, package: PlannedVersion) -> FleetVersion:
        """Raises what loading raises, WorkerLost."""
        await self._fleet.prepare(self.name, package)
        return FleetVersion(self._fleet, self.name, package.version)

    def stop(self, *, for_good: bool = False) -> None:
        """Ends the version's loads, in all workers."""
        self._fleet.supersede(self.name)

    def swap(self, prepared: FleetVersion) -> None:
        plan = self._fleet.plan(self.name)
        assert plan.candidate is not None
        assert plan.candidate.version == prepared.version
        kept = None if self._foreign else plan.current
        self._foreign = False
        self._commit(FleetPlan(plan.candidate, kept), "swap" if plan.current is not None else "load")

    def revert(self) -> None:
        plan = self._fleet.plan(self.name)
        assert plan.previous is not None
        self._commit(FleetPlan(plan.previous, plan.current, plan.candidate), "revert")

    def retire_previous(self) -> None:
        self._fleet.set_plan(self.name, replace(self._fleet.plan(self.name), previous=None))

    def note_registry(self, said: RegistryState) -> None:
        self._fleet.note_registry(self.name, said)

    def note_failure(self, failure: LoadFailure | None) -> None:
        self._fleet.note_failure(self.name, failure)

    def _commit(self, plan: FleetPlan, kind: Literal["load", "swap", "revert"]) -> None:
        self._fleet.set_plan(self.name, plan)
        self._metrics.swaps.labels(self.name, kind).inc()
        assert plan.current is not None
        log.info(
            "%s: now serving version %s (%s) in %d workers.",
            self.name,
            plan.current.version,
            plan.current.digest[:12],
            len(self._fleet.joined),
        )

    def __repr__(self) -> str:
        return f"<FleetTarget {self.name}: {self._fleet.plan(self.name)}>"


@dataclass(frozen=True, slots=True)
class FleetLoads:
    """The loads of one model: the trial in the supervisor, and those in the workers."""

    target: FleetTarget
    trials: StoppableLoads | None

    def stop(self, *, for_good: bool = False) -> None:
        if self.trials is not None:
            self.trials.stop(for_good=for_good)
        self.target.stop(for_good=for_good)


@dataclass(frozen=True, slots=True)
class FleetInstaller:
    """Has the versions of one model loaded by every worker, from a package that is fetched, and tried by `loader`, once
    for all. `settings` are the model's own, which the workers load by."""

    target: FleetTarget
    loader: VersionLoader | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def loads(self) -> FleetLoads:
        return FleetLoads(self.target, self.loader)

    @property
    def serving(self) -> bool:
        return self.target.answering is not None

    async def install(self, fetch: Fetch, *, beside_requests: bool) -> FleetVersion:
        return await self.target.prepare(await asyncio.to_thread(self._plan, fetch, throttle=beside_requests))

    def _plan(self, fetch: Fetch, *, throttle: bool) -> PlannedVersion:
        """The package that all workers are to load, by its digest: they are to find the same one. Blocks."""
        with throttled_if(throttle, yielding=True):
            with background():
                fetched = fetch() if self.loader is None else self.loader.fetch(fetch)
                digest = PackagedModel.open(fetched.path).digest
            try:
                if self.loader is not None:
                    self.loader.try_out(fetched.path, fetched.version)
            except BaseException:
                fetched.package.close()
                raise
            return PlannedVersion(
                fetched.version or digest[:12],
                str(fetched.path),
                digest,
                fetched.package.hold,
                self.target.revision,
                self.target.alias,
                self.settings,
            )
