"""The workers as one: prepare a version in all of them, and when every one has proven it, let it answer in all.

Knows no processes and no sockets: a worker is a number and a way to send it an order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from penstock.errors import Closing, PenstockError, WorkerLost
from penstock.metrics import Metrics
from penstock.serving.plan import Held, Order, Plan, PlannedVersion, after, caught_up, next_order

log = logging.getLogger("penstock.serving")

Send: TypeAlias = Callable[[str, Order], None]  # model, order


@dataclass(slots=True)
class _Member:
    """A worker: how to tell it something, what it holds by model, whether it answers requests."""

    send: Send
    held: dict[str, Held]
    joined: bool = False


class Crew:
    """All workers and the plan for each model. Used on the event loop only.

    `on_joined` is called with the number of a worker that may accept requests now, `on_unfit` with that of one that
    cannot load what the others serve.
    """

    def __init__(
        self, size: int, on_joined: Callable[[int], None], on_unfit: Callable[[int, PenstockError], None]
    ) -> None:
        self._size = size
        self._on_joined = on_joined
        self._on_unfit = on_unfit
        # The whole mutable state: plans by model, workers by number, preparations that somebody waits for, the digests
        # of packages that a worker died over.
        self._plans: dict[str, Plan] = {}
        self._members: dict[int, _Member] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._deadly: set[str] = set()

    @property
    def joined(self) -> list[int]:
        """The numbers of the workers that answer requests."""
        return sorted(number for number, member in self._members.items() if member.joined)

    def add_model(self, model: str) -> None:
        """Models are known before the first worker arrives."""
        self._plans[model] = Plan()

    def plan(self, model: str) -> Plan:
        return self._plans[model]

    def set_plan(self, model: str, plan: Plan) -> None:
        """Everybody is told at once."""
        self._plans[model] = plan
        self._pump(model)

    async def prepare(self, model: str, package: PlannedVersion) -> None:
        """Makes the version the model's candidate, and returns when all workers have proven it. Raises what the first
        failing one raised, WorkerLost where one died over it; the candidate is dropped everywhere then."""
        assert model not in self._waiting, "one version loads at a time"
        if package.digest in self._deadly and len(self.joined) < self._size:
            raise WorkerLost(
                f"Version {package.version} of {model} has killed a worker; it is tried again when all serve."
            )
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[model] = ready
        try:
            self.set_plan(model, replace(self._plans[model], candidate=package))
            await ready
            self._deadly.discard(package.digest)
        except BaseException:
            self.drop_candidate(model)
            raise
        finally:
            del self._waiting[model]

    def drop_candidate(self, model: str) -> None:
        self.set_plan(model, replace(self._plans[model], candidate=None))

    # -- what workers do ---------------------------------------------------------------------------------------------

    def arrive(self, number: int, send: Send) -> None:
        """A worker has started; it joins when it holds what the others do."""
        self._members[number] = _Member(send, {model: Held() for model in self._plans})
        for model in self._plans:
            self._pump(model)
        self._admit()

    def leave(self, number: int, how: str) -> bool:
        """A worker is gone. A candidate that it was loading is given up, since the package may be what killed it; says
        whether there was one."""
        member = self._members.pop(number, None)
        gave_up = False
        for model, held in (member.held if member else {}).items():
            candidate = self._plans[model].candidate
            if candidate is not None and held.asked == candidate.version:
                self._deadly.add(candidate.digest)
                self._fail(model, WorkerLost(f"Worker {number} {how} while it loaded version {held.asked} of {model}."))
                gave_up = True
            self._pump(model)
        return gave_up

    def proven(self, number: int, model: str, version: str) -> None:
        held = self._members[number].held[model]
        self._members[number].held[model] = replace(held, proven=held.proven | {version}, asked=None)
        self._pump(model)
        self._admit()

    def failed(self, number: int, model: str, version: str, error: PenstockError) -> None:
        """A worker could not load or prove a version that it was asked for."""
        member, plan = self._members[number], self._plans[model]
        member.held[model] = replace(member.held[model], asked=None)
        if plan.candidate is not None and plan.candidate.version == version:
            self._fail(model, error)
        elif plan.current is not None and plan.current.version == version:
            self._on_unfit(number, error)
        elif plan.previous is not None and plan.previous.version == version:
            log.warning("%s: version %s cannot be kept warm any more. %s", model, version, error)
            self.set_plan(model, replace(plan, previous=None))
            self._admit()
        else:
            self._pump(model)

    def close(self) -> None:
        """Nothing is waited for any more."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Closing("The server is being closed."))

    # -- carrying out --------------------------------------------------------------------------------------------------

    def _fail(self, model: str, error: PenstockError) -> None:
        """Gives the candidate up, at once: nobody else may be asked for it. One that all had proven is left alone."""
        waiting = self._waiting.get(model)
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
            self.drop_candidate(model)

    def _pump(self, model: str) -> None:
        """Sends every order that is due, and ends the wait for the candidate once all have proven it."""
        plan = self._plans[model]
        for member in list(self._members.values()):
            while order := next_order(plan, member.held[model], may_try=self._may_try(model)):
                member.held[model] = after(plan, member.held[model], order)
                member.send(model, order)
        waiting, candidate = self._waiting.get(model), plan.candidate
        if waiting is None or candidate is None or waiting.done():
            return
        answering = [member for member in self._members.values() if member.joined]
        if answering and all(candidate.version in member.held[model].proven for member in answering):
            waiting.set_result(None)

    def _may_try(self, model: str) -> bool:
        """While a version answers, one worker tries a new one first: a package that kills its process, or eats the
        machine's memory, takes one worker with it and not all."""
        plan = self._plans[model]
        if plan.current is None or plan.candidate is None:
            return True
        version = plan.candidate.version
        helds = [member.held[model] for member in self._members.values()]
        return any(version in held.proven for held in helds) or all(held.asked != version for held in helds)

    def _admit(self) -> None:
        for number, member in self._members.items():
            if not member.joined and all(caught_up(self._plans[m], held) for m, held in member.held.items()):
                member.joined = True
                self._on_joined(number)

    def __repr__(self) -> str:
        plans = ", ".join(f"{model} {plan.answering}" for model, plan in self._plans.items())
        return f"<Crew of {len(self._members)}, {len(self.joined)} joined: {plans}>"


@dataclass(frozen=True, slots=True)
class CrewVersion:
    """A version that all workers have proven."""

    crew: Crew = field(repr=False)
    model: str
    version: str

    def drop(self) -> None:
        self.crew.drop_candidate(self.model)


class CrewStage:
    """One model, in every worker at once."""

    def __init__(self, crew: Crew, name: str, metrics: Metrics, *, alias: str = "") -> None:
        self.name = name
        self.alias = alias
        self.on_failed: Callable[[str, str], None] = lambda version, why: None
        self._crew = crew
        self._metrics = metrics
        crew.add_model(name)

    @property
    def current(self) -> str | None:
        return self._crew.plan(self.name).answering[0]

    @property
    def previous(self) -> str | None:
        return self._crew.plan(self.name).answering[1]

    async def prepare(self, package: PlannedVersion) -> CrewVersion:
        """Raises what loading raises, WorkerLost."""
        await self._crew.prepare(self.name, package)
        return CrewVersion(self._crew, self.name, package.version)

    def swap(self, prepared: CrewVersion) -> None:
        plan = self._crew.plan(self.name)
        assert plan.candidate is not None
        assert plan.candidate.version == prepared.version
        self._commit(Plan(plan.candidate, plan.current), "swap" if plan.current is not None else "load")

    def revert(self) -> None:
        plan = self._crew.plan(self.name)
        assert plan.previous is not None
        self._commit(Plan(plan.previous, plan.current, plan.candidate), "revert")

    def retire_previous(self) -> None:
        self._crew.set_plan(self.name, replace(self._crew.plan(self.name), previous=None))

    def _commit(self, plan: Plan, kind: Literal["load", "swap", "revert"]) -> None:
        self._crew.set_plan(self.name, plan)
        self._metrics.swaps.labels(self.name, kind).inc()
        assert plan.current is not None
        log.info("%s: version %s (%s) answers now, in %d workers.", self.name, plan.current.version,
                 plan.current.digest[:12], len(self._crew.joined))  # fmt: skip

    def __repr__(self) -> str:
        return f"<CrewStage {self.name}: {self._crew.plan(self.name)}>"
