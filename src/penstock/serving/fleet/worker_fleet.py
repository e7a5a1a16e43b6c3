"""The workers as one: prepare a version in all of them, and when every one has proven it, let it answer in all.

Knows no processes and no sockets: a worker is a number and a way to send it an order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from penstock.errors import Closing, PenstockError, WorkerLost
from penstock.serving.fleet.fleet_plan import (
    Agree,
    Begun,
    FleetPlan,
    Mark,
    Note,
    PlannedVersion,
    Serve,
    Stop,
    Unserve,
    Word,
    WorkerVersions,
    after,
    caught_up,
    next_order,
)
from penstock.serving.load_failure import LoadFailure

log = logging.getLogger("penstock.serving")

Send: TypeAlias = Callable[[str, Word], None]  # model, word


@dataclass(slots=True)
class _Member:
    """A worker: how to tell it something, what it holds by model, the version that it said it answers with, whether it
    takes requests."""

    send: Send
    held: dict[str, WorkerVersions]
    answers: dict[str, str | None] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)  # models that it was told to serve no more, and did not answer for
    joined: bool = False


class WorkerFleet:
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
        # The whole mutable state: plans by model, models that may be stale, workers by number, preparations that
        # somebody waits for, the digests of packages that a worker died over, what keeps wanted versions from
        # answering; models that workers do not know by themselves, with their aliases, patterns that have begun and
        # those that have not, whoever waits for the first versions, and who is told of versions that fail.
        self._plans: dict[str, FleetPlan] = {}
        self._stale: set[str] = set()
        self._members: dict[int, _Member] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._deadly: set[str] = set()
        self._failures: dict[str, LoadFailure | None] = {}
        self._added: dict[str, str] = {}
        self._begun: set[str] = set()
        self._beginning: set[str] = set()
        self._ready = asyncio.Event()
        self._on_failed: dict[str, Callable[[str, str], None]] = {}

    @property
    def joined(self) -> list[int]:
        """The numbers of the workers that answer requests."""
        return sorted(number for number, member in self._members.items() if member.joined)

    def add_model(self, model: str) -> None:
        """Before the first worker arrives: models that workers know by themselves."""
        self._plans[model] = FleetPlan()

    def add_pattern(self, pattern: str) -> None:
        """The same for a pattern of names."""
        self._beginning.add(pattern)

    @property
    def waiting_for(self) -> list[str]:
        """The models and patterns known from the start that have not been loaded yet."""
        named = (m for m, plan in self._plans.items() if m not in self._added and plan.current is None)
        return [*named, *sorted(self._beginning)]

    async def until_ready(self) -> None:
        """Returns once every model and pattern known from the start has been loaded."""
        self._look()
        await self._ready.wait()

    def _look(self) -> None:
        if not self.waiting_for:
            self._ready.set()

    def serve(self, model: str, alias: str) -> None:
        """One more model from now on, which workers are told of."""
        self._plans[model] = FleetPlan()
        self._added[model] = alias
        for member in self._members.values():
            self._introduce(member, model)

    def unserve(self, model: str) -> None:
        """Every worker lets a model that was added go. Nobody prepares a version of it any more."""
        del self._plans[model], self._added[model]
        self._on_failed.pop(model, None)
        self._failures.pop(model, None)
        self._stale.discard(model)
        for member in self._members.values():
            if member.held.pop(model, None) is not None:
                member.answers.pop(model, None)
                member.leaving.add(model)
                member.send(model, Unserve())
        self._admit()

    def unserved(self, number: int, model: str) -> None:
        """A worker has let the model go. It may have been added again meanwhile."""
        member = self._members[number]
        member.leaving.discard(model)
        if model in self._plans:
            self._introduce(member, model)
            self._pump(model)

    def _introduce(self, member: _Member, model: str) -> None:
        """What a worker says between two lives of a model could be meant for either: the first one ends first."""
        if model not in member.leaving:
            member.held[model] = WorkerVersions()
            if model in self._added:
                member.send(model, Serve(self._added[model]))

    def begun(self, pattern: str) -> None:
        self._begun.add(pattern)
        self._beginning.discard(pattern)
        self._say(pattern, Begun())
        self._look()

    def serves(self, model: str) -> bool:
        return model in self._plans

    def plan(self, model: str) -> FleetPlan:
        return self._plans[model]

    def set_plan(self, model: str, plan: FleetPlan) -> None:
        """Everybody is told at once."""
        self._plans[model] = plan
        self._pump(model)
        self._look()

    def mark(self, model: str, *, stale: bool) -> None:
        """Tells all workers whether the registry may name another version by now."""
        if model not in self._plans or stale == (model in self._stale):
            return
        self._stale ^= {model}
        for member in self._members.values():
            if model in member.held:
                member.send(model, Mark(stale))

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

    def note_failure(self, model: str, failure: LoadFailure | None) -> None:
        if self._failures.get(model) != failure:
            self._failures[model] = failure
            self._say(model, Note(failure))

    def supersede(self, model: str) -> None:
        """Another version is wanted than the one that is being prepared, if there is one."""
        self._fail(model, Closing("Another version is wanted."))

    def drop_candidate(self, model: str) -> None:
        if model not in self._plans:  # it was taken away meanwhile
            return
        if (candidate := self._plans[model].candidate) is not None:
            for member in self._members.values():
                if (held := member.held.get(model)) is not None and held.asked == candidate.version:
                    member.send(model, Stop())
        self.set_plan(model, replace(self._plans[model], candidate=None))

    # -- what workers do ---------------------------------------------------------------------------------------------

    def arrive(self, number: int, send: Send) -> None:
        """A worker has started; it joins when it holds what the others do."""
        self._members[number] = _Member(send, {})
        for pattern in self._begun:
            send(pattern, Begun())
        for model in self._plans:
            self._introduce(self._members[number], model)
            if (failure := self._failures.get(model)) is not None:
                send(model, Note(failure))
            if model in self._stale:
                send(model, Mark(True))
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
            self._agree(model)
        return gave_up

    def proven(self, number: int, model: str, version: str) -> None:
        if model not in self._members[number].held:
            return
        held = self._members[number].held[model]
        self._members[number].held[model] = replace(held, proven=held.proven | {version}, asked=None)
        self._pump(model)
        self._admit()

    def answers(self, number: int, model: str, version: str | None) -> None:
        """A worker has carried out what it was told, and answers with this version."""
        if model not in self._members[number].held:
            return
        self._members[number].answers[model] = version
        self._agree(model)

    def failed(self, number: int, model: str, version: str, error: PenstockError) -> None:
        """A worker could not load or prove a version that it was asked for."""
        if model not in self._members[number].held:
            return
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

    def gave_up(self, model: str, version: str, why: str) -> None:
        """A worker found that a version's processes end again and again: one is enough to judge it by."""
        if (told := self._on_failed.get(model)) is not None:
            told(version, why)

    def on_failed(self, model: str, told: Callable[[str, str], None]) -> None:
        """Whom to tell of that."""
        self._on_failed[model] = told

    def close(self) -> None:
        """Nothing is waited for any more."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Closing("The server is being closed."))

    def _agree(self, model: str) -> None:
        """Once every worker has said that it answers with what is planned, all may say so of all."""
        current = self._plans[model].answering[0]
        answering = [member for member in self._members.values() if member.joined]
        if current is not None and all(member.answers.get(model) == current for member in answering):
            self._say(model, Agree(current))

    def _say(self, model: str, word: Word) -> None:
        for member in self._members.values():
            member.send(model, word)

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
            while (held := member.held.get(model)) is not None and (
                order := next_order(plan, held, may_try=self._may_try(model))
            ):
                member.held[model] = after(plan, held, order)
                member.send(model, order)
        waiting, candidate = self._waiting.get(model), plan.candidate
        if waiting is None or candidate is None or waiting.done():
            return
        answering = [member for member in self._members.values() if member.joined]
        if answering and all(candidate.version in m.held.get(model, WorkerVersions()).proven for m in answering):
            waiting.set_result(None)

    def _may_try(self, model: str) -> bool:
        """While a version answers, one worker tries a new one first: a package that kills its process, or eats the
        machine's memory, takes one worker with it and not all."""
        plan = self._plans[model]
        if plan.current is None or plan.candidate is None:
            return True
        version = plan.candidate.version
        helds = [member.held[model] for member in self._members.values() if model in member.held]
        return any(version in held.proven for held in helds) or all(held.asked != version for held in helds)

    def _admit(self) -> None:
        for number, member in self._members.items():
            if not member.joined and all(caught_up(self._plans[m], held) for m, held in member.held.items()):
                member.joined = True
                self._on_joined(number)
                for model in self._plans:
                    self._agree(model)

    def __repr__(self) -> str:
        plans = ", ".join(f"{model} {plan.answering}" for model, plan in self._plans.items())
        return f"<WorkerFleet of {len(self._members)}, {len(self.joined)} joined: {plans}>"
