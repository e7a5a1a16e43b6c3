"""What each worker is told: the plan for a model and what a worker holds in, one order out.

The same rule carries out a swap, catches a restarted worker up, and drops a version that is wanted no more. It is asked
again after every event, so that no event needs an answer of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from penstock.artifacts import PackageHold
from penstock.serving.load_failure import LoadFailure


@dataclass(frozen=True, slots=True)
class PlannedVersion:
    """A version and where its package lies on this machine. Loading checks the digest. `hold` keeps a package in the
    cache for as long as a worker may be asked for it: until nobody plans with it any more."""

    version: str
    path: str
    digest: str
    hold: PackageHold | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What all workers are to hold of one model. The candidate is loaded and proven everywhere before it answers
    anywhere."""

    current: PlannedVersion | None = None
    previous: PlannedVersion | None = None
    candidate: PlannedVersion | None = None

    @property
    def answering(self) -> tuple[str | None, str | None]:
        """The versions that answer and stay warm, as a worker is told them."""
        return _number(self.current), _number(self.previous)

    @property
    def wanted(self) -> frozenset[str]:
        return frozenset(p.version for p in (self.current, self.previous, self.candidate) if p is not None)


@dataclass(frozen=True, slots=True)
class WorkerVersions:
    """What one worker has of a model: proven versions, the one that it was asked to load, and what it was told."""

    proven: frozenset[str] = field(default_factory=frozenset)
    asked: str | None = None
    told: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Ask:
    """Load and prove this version, and say how that went."""

    package: PlannedVersion


@dataclass(frozen=True, slots=True)
class Tell:
    """From now on `current` answers and `previous` is kept warm. Keep `candidate` if it is there; drop all others."""

    current: str | None
    previous: str | None
    candidate: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """What keeps the wanted version from answering; None where nothing does."""

    failure: LoadFailure | None


@dataclass(frozen=True, slots=True)
class Agree:
    """All workers answer with this version now."""

    version: str


Order: TypeAlias = Ask | Tell


@dataclass(frozen=True, slots=True)
class Mark:
    """Show what answers as stale, since the registry is away, or not any more."""

    stale: bool


@dataclass(frozen=True, slots=True)
class Serve:
    """There is such a model, of which nothing was known at the start, and it follows this alias."""

    alias: str


@dataclass(frozen=True, slots=True)
class Unserve:
    """There is no such model any more. Said back once it is gone; what was said of it before counts no more."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The pattern of that name has found and loaded what it could."""


@dataclass(frozen=True, slots=True)
class Stop:
    """What is being loaded is wanted no more: end it where that can be done. The answer is the same as ever."""


Word: TypeAlias = Order | Stop | Mark | Note | Agree | Serve | Unserve | Begun


def next_order(plan: FleetPlan, held: WorkerVersions, *, may_try: bool) -> Order | None:
    """What a worker is to be told next, if anything. `may_try` says whether it may load the candidate now.

    A change of what answers comes first, also while a load is under way: workers must not differ for longer than the
    message takes. A worker loads one version of a model at a time, the answering one first.
    """
    answering = {version for version in plan.answering if version is not None}
    stale = held.proven - plan.wanted
    if answering <= held.proven and (held.told != plan.answering or stale):
        return Tell(*plan.answering, _number(plan.candidate))
    if held.asked is not None:
        return None
    for package in (plan.current, plan.previous, plan.candidate):
        if package is not None and package.version not in held.proven:
            return Ask(package) if package is not plan.candidate or may_try else None
    return None


def after(plan: FleetPlan, held: WorkerVersions, order: Order) -> WorkerVersions:
    """What the worker holds once it has the order."""
    match order:
        case Ask(package):
            return replace(held, asked=package.version)
        case Tell():
            return WorkerVersions(held.proven & plan.wanted, held.asked, plan.answering)


def caught_up(plan: FleetPlan, held: WorkerVersions) -> bool:
    """Whether a worker may answer beside the others: it does what they do, and has proven what they may be told to do
    next."""
    return held.told == plan.answering and plan.wanted <= held.proven


def _number(package: PlannedVersion | None) -> str | None:
    return package.version if package is not None else None
