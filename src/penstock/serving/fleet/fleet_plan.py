"""What a fleet plans and knows of each model and each worker, and which order a worker needs next: the plan for a model
and what the worker holds in, one order out.

The same rule carries out a swap, lets a restarted worker catch up, and drops a version that is no longer wanted. It is
applied again after every event, so that no event needs an answer of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from penstock.artifacts import PackageHold
from penstock.serving.fleet.messages import Command, Order, PrepareVersion, SetVersions, build_of
from penstock.serving.served_model import LoadFailure, RegistryState

Send: TypeAlias = Callable[[Command], None]


@dataclass(frozen=True, slots=True)
class PlannedVersion:
    """A version and where its package lies on this machine. Loading checks the digest. `hold` keeps a package in the
    cache for as long as a worker may have to load it: until no plan contains the version any more. `settings` are the
    model's own in this revision of them, with which it follows `alias`: a worker that starts later loads by them."""

    version: str
    path: str
    digest: str
    hold: PackageHold | None = field(default=None, repr=False, compare=False)
    revision: int = 0
    alias: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def build(self) -> str:
        return build_of(self.version, self.revision)


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What all workers are to hold of one model. The candidate is loaded and proven everywhere before it answers
    anywhere."""

    current: PlannedVersion | None = None
    previous: PlannedVersion | None = None
    candidate: PlannedVersion | None = None

    @property
    def served(self) -> tuple[str | None, str | None]:
        """The builds that answer and are kept warm."""
        return _build(self.current), _build(self.previous)

    @property
    def wanted(self) -> frozenset[str]:
        return frozenset(p.build for p in (self.current, self.previous, self.candidate) if p is not None)


@dataclass(frozen=True, slots=True)
class WorkerVersions:
    """What one worker holds of a model: proven builds, the one that it loads, and the builds that were last set."""

    proven: frozenset[str] = field(default_factory=frozenset)
    loading: str | None = None
    served: tuple[str | None, str | None] = (None, None)


@dataclass(slots=True)
class FleetModel:
    """A model in all workers: its plan, the last revision of its settings, what its registry said last, what keeps the
    wanted version from answering, and the preparation under way. `alias` is what it followed first."""

    plan: FleetPlan = field(default_factory=FleetPlan)
    alias: str = ""
    revision: int = 0
    registry: RegistryState = field(default_factory=RegistryState)
    failure: LoadFailure | None = None
    preparing: asyncio.Future[None] | None = None

    @property
    def pending(self) -> asyncio.Future[None] | None:
        """The preparation whose outcome is not known yet."""
        return self.preparing if self.preparing is not None and not self.preparing.done() else None


@dataclass(slots=True)
class FleetMember:
    """A worker: how to send it a command, what it holds of each model, the builds that it reported to serve, the
    models that it was asked to remove and has not reported as removed, and whether it takes requests."""

    send: Send
    held: dict[str, WorkerVersions] = field(default_factory=dict)
    reported: dict[str, str | None] = field(default_factory=dict)
    removing: set[str] = field(default_factory=set)
    joined: bool = False

    def proven(self, model: str) -> frozenset[str]:
        return self.held[model].proven if model in self.held else frozenset()


def may_try(plan: FleetPlan, held: Iterable[WorkerVersions]) -> bool:
    """Whether one more worker may load the candidate; `held` is what each worker holds of the model. While a version
    answers, one worker tries a new one first: a package that kills its process, or eats the machine's memory, takes one
    worker with it and not all."""
    if plan.current is None or plan.candidate is None:
        return True
    build = plan.candidate.build
    workers = list(held)
    return any(build in each.proven for each in workers) or all(each.loading != build for each in workers)


def next_order(model: str, plan: FleetPlan, held: WorkerVersions, *, may_try: bool) -> Order | None:
    """The next order for a worker, if any. `may_try` says whether it may load the candidate now.

    A change of what answers comes first, also while a load is under way: workers must not differ for longer than the
    message takes. A worker loads one version of a model at a time, the answering one first.
    """
    needed = {build for build in plan.served if build is not None}
    unwanted = held.proven - plan.wanted
    if needed <= held.proven and (held.served != plan.served or unwanted):
        return SetVersions(model, *plan.served, _build(plan.candidate))
    if held.loading is not None:
        return None
    for package in (plan.current, plan.previous, plan.candidate):
        if package is not None and package.build not in held.proven:
            order = PrepareVersion(
                model,
                package.version,
                package.path,
                package.digest,
                package.revision,
                package.alias,
                package.settings,
            )
            return order if package is not plan.candidate or may_try else None
    return None


def after(plan: FleetPlan, held: WorkerVersions, order: Order) -> WorkerVersions:
    """What the worker holds once it has the order."""
    match order:
        case PrepareVersion():
            return replace(held, loading=order.build)
        case SetVersions():
            return WorkerVersions(held.proven & plan.wanted, held.loading, plan.served)


def caught_up(plan: FleetPlan, held: WorkerVersions) -> bool:
    """Whether a worker may answer beside the others: it serves what they serve, and has proven what may be set next."""
    return held.served == plan.served and plan.wanted <= held.proven


def _build(package: PlannedVersion | None) -> str | None:
    return package.build if package is not None else None
