"""All workers as one: prepare a version in all of them, and once each has proven it, let it answer in all.

Knows no processes and no sockets: a worker is a number and a way to send it a command.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from penstock.errors import Closing, PenstockError, WorkerLost, error_of
from penstock.serving.fleet.fleet_plan import (
    FleetMember,
    FleetModel,
    FleetPlan,
    PlannedVersion,
    Send,
    WorkerVersions,
    after,
    caught_up,
    may_try,
    next_order,
)
from penstock.serving.fleet.messages import (
    AddModel,
    AllServe,
    CancelLoad,
    Command,
    Event,
    ExpectModels,
    ModelRemoved,
    NoteFailure,
    NoteRegistry,
    PatternStarted,
    PatternWaits,
    RemoveModel,
    VersionCrashed,
    VersionFailed,
    VersionProven,
    VersionsSet,
)
from penstock.serving.readiness import Readiness
from penstock.serving.served_model import LoadFailure, RegistryState

log = logging.getLogger("penstock.serving")


class FleetListener(Protocol):
    """What a fleet reports."""

    def on_joined(self, number: int) -> None:
        """The worker may accept requests now."""

    def on_unfit(self, number: int, error: PenstockError) -> None:
        """The worker cannot load what the others serve."""

    def on_crashed(self, model: str, version: str, reason: str) -> None:
        """A version has shown in one worker that it cannot be served."""


class WorkerFleet:
    """The workers and the plan for each model. Used on the event loop only."""

    def __init__(self, size: int, listener: FleetListener) -> None:
        self._size = size
        self._listener = listener
        # The whole mutable state: models by name, workers by number, the digests of packages that a worker died over,
        # patterns that have started, what has been loaded of all that is expected, and the default model.
        self._models: dict[str, FleetModel] = {}
        self._members: dict[int, FleetMember] = {}
        self._deadly: set[str] = set()
        self._started: set[str] = set()
        self._readiness = Readiness(self._answers)
        self.default: str | None = None

    @property
    def joined(self) -> list[int]:
        """The numbers of the workers that answer requests."""
        return sorted(number for number, member in self._members.items() if member.joined)

    # -- readiness -----------------------------------------------------------------------------------------------------

    def expect(self, models: Iterable[str], patterns: Iterable[str], default: str | None) -> None:
        """What must be loaded before the server is ready, and the model that answers where a request names none."""
        self.default = default
        self._readiness.expect(models, patterns)
        self._send_all(self._expected())

    def _expected(self) -> ExpectModels:
        """For a worker. Once the server was ready, one that starts again waits for nothing but what the others have."""
        if self._readiness.was_ready:
            return ExpectModels([m for m in self._models if self._answers(m)], [], self.default)
        return ExpectModels(*self._readiness.expected, self.default)

    def _answers(self, model: str) -> bool:
        return model in self._models and self._models[model].plan.current is not None

    @property
    def waiting_for(self) -> list[str]:
        """The models and patterns expected from the start that are not loaded yet."""
        return self._readiness.waiting_for

    async def until_ready(self) -> None:
        """Returns once every expected model and pattern is loaded."""
        await self._readiness.until_ready()

    def pattern_waits(self, pattern: str, because: str) -> None:
        if self._readiness.reason_of(pattern) != because:
            self._readiness.pattern_waits(pattern, because)
            self._send_all(PatternWaits(pattern, because))

    def pattern_started(self, pattern: str) -> None:
        self._started.add(pattern)
        self._send_all(PatternStarted(pattern))
        self._readiness.pattern_started(pattern)

    # -- models that come and go ---------------------------------------------------------------------------------------

    def serves(self, model: str) -> bool:
        return model in self._models

    def add_model(self, model: str, alias: str) -> None:
        """One more model from now on; every worker is informed."""
        self._models[model] = FleetModel(alias=alias)
        for member in self._members.values():
            self._introduce(member, model)

    def next_revision(self, model: str) -> int:
        """The number of one more revision of a model's settings."""
        state = self._models[model]
        state.revision += 1
        return state.revision

    def remove_model(self, model: str) -> None:
        """Every worker stops serving a model."""
        del self._models[model]
        self._send_all(self._expected())
        for member in self._members.values():
            if member.held.pop(model, None) is not None:
                member.reported.pop(model, None)
                member.removing.add(model)
                member.send(RemoveModel(model))
        self._admit()

    def _on_removed(self, member: FleetMember, model: str) -> None:
        """The model may have been added again meanwhile."""
        member.removing.discard(model)
        if model in self._models:
            self._introduce(member, model)
            self._pump(model)

    def _introduce(self, member: FleetMember, model: str) -> None:
        """A worker's events between two lives of a model could be meant for either: the first life ends first."""
        if model in member.removing:
            return
        state = self._models[model]
        member.held[model] = WorkerVersions()
        alias = state.plan.current.alias if state.plan.current is not None else state.alias
        member.send(AddModel(model, alias))
        if state.failure is not None:
            member.send(NoteFailure(model, state.failure))
        if state.registry != RegistryState():
            member.send(NoteRegistry(model, state.registry))

    # -- versions ------------------------------------------------------------------------------------------------------

    def plan(self, model: str) -> FleetPlan:
        return self._models[model].plan

    def set_plan(self, model: str, plan: FleetPlan) -> None:
        """Orders go to all workers at once."""
        self._models[model].plan = plan
        self._pump(model)
        self._readiness.check()

    async def prepare(self, model: str, package: PlannedVersion) -> None:
        """Makes the version the model's candidate, and returns when all workers have proven it. Raises what the first
        failing one raised, WorkerLost where one died over it; the candidate is dropped everywhere then."""
        state = self._models[model]
        assert state.preparing is None, "only one version loads at a time"
        if package.digest in self._deadly and len(self.joined) < self._size:
            raise WorkerLost(
                f"Version {package.version} of {model} has killed a worker; Penstock tries the version again when "
                f"all workers serve."
            )
        state.preparing = asyncio.get_running_loop().create_future()
        try:
            self.set_plan(model, replace(state.plan, candidate=package))
            await state.preparing
            self._deadly.discard(package.digest)
        except BaseException:
            self.drop_candidate(model, state)
            raise
        finally:
            state.preparing = None

    def supersede(self, model: str) -> None:
        """The version that is being prepared, if there is one, is no longer wanted."""
        self._fail(model, Closing("The registry no longer names this version."))

    def drop_candidate(self, model: str, state: FleetModel | None = None) -> None:
        """Nothing is dropped where the model was removed meanwhile, or begins anew: `state` is then another one."""
        known = self._models.get(model)
        if known is None or (state is not None and state is not known):
            return
        if (candidate := known.plan.candidate) is not None:
            for member in self._members.values():
                if (held := member.held.get(model)) is not None and held.loading == candidate.build:
                    member.send(CancelLoad(model))
        self.set_plan(model, replace(known.plan, candidate=None))

    def note_registry(self, model: str, said: RegistryState) -> None:
        """Informs all workers of what the registry said, where that is new."""
        state = self._models.get(model)
        if state is not None and state.registry != said:
            state.registry = said
            self._send_all(NoteRegistry(model, said), model)

    def note_failure(self, model: str, failure: LoadFailure | None) -> None:
        state = self._models.get(model)
        if state is not None and state.failure != failure:
            state.failure = failure
            self._send_all(NoteFailure(model, failure), model)

    # -- workers that come and go --------------------------------------------------------------------------------------

    def add_worker(self, number: int, send: Send) -> None:
        """A worker has started; it joins when it holds what the others do."""
        member = self._members[number] = FleetMember(send)
        send(self._expected())
        for pattern, because in self._readiness.reasons.items():
            send(PatternWaits(pattern, because))
        for pattern in self._started:
            send(PatternStarted(pattern))
        for model in self._models:
            self._introduce(member, model)
            self._pump(model)
        self._admit()

    def remove_worker(self, number: int, how: str) -> bool:
        """A worker has ended. A candidate that it was loading is given up, since the package may be what killed it.
        Returns whether there was one."""
        member = self._members.pop(number, None)
        gave_up = False
        for model, held in (member.held if member else {}).items():
            candidate = self._models[model].plan.candidate
            if candidate is not None and held.loading == candidate.build:
                self._deadly.add(candidate.digest)
                lost = WorkerLost(f"Worker {number} {how} while it loaded version {candidate.version} of {model}.")
                self._fail(model, lost)
                gave_up = True
            self._pump(model)
            self._check_agreement(model)
        return gave_up

    # -- what workers report -------------------------------------------------------------------------------------------

    def on_event(self, number: int, event: Event) -> None:
        member = self._members[number]
        if isinstance(event, ModelRemoved):
            self._on_removed(member, event.model)
        elif isinstance(event, VersionCrashed):  # one worker is enough to judge a version by
            self._listener.on_crashed(event.model, event.version, event.reason)
        elif event.model in member.held:  # or it is about an earlier life of the model
            match event:
                case VersionProven(model, build):
                    held = member.held[model]
                    member.held[model] = replace(held, proven=held.proven | {build}, loading=None)
                    self._pump(model)
                    self._admit()
                case VersionsSet(model, current):
                    member.reported[model] = current
                    self._check_agreement(model)
                case VersionFailed(model, build, code, message, hint):
                    member.held[model] = replace(member.held[model], loading=None)
                    self._on_failed(number, model, build, error_of(code, message, hint))

    def _on_failed(self, number: int, model: str, build: str, error: PenstockError) -> None:
        """A worker could not load or prove a version."""
        plan = self._models[model].plan
        if plan.candidate is not None and plan.candidate.build == build:
            self._fail(model, error)
        elif plan.current is not None and plan.current.build == build:
            self._listener.on_unfit(number, error)
        elif plan.previous is not None and plan.previous.build == build:
            version = plan.previous.version
            log.warning("%s: version %s can no longer be kept loaded for a rollback. %s", model, version, error)
            self.set_plan(model, replace(plan, previous=None))
            self._admit()
        else:
            self._pump(model)

    def close(self) -> None:
        """Ends every preparation."""
        for state in self._models.values():
            if state.pending is not None:
                state.pending.set_exception(Closing("The server is being closed."))

    # -- carrying out --------------------------------------------------------------------------------------------------

    def _fail(self, model: str, error: PenstockError) -> None:
        """Gives the candidate up, at once: no other worker may be asked to load it. One that all have proven stays."""
        state = self._models.get(model)
        if state is not None and state.pending is not None:
            state.pending.set_exception(error)
            self.drop_candidate(model)

    def _pump(self, model: str) -> None:
        """Sends every order that is due, and ends the preparation once all have proven the candidate."""
        state = self._models[model]
        for member in list(self._members.values()):
            while (held := member.held.get(model)) is not None and (
                order := next_order(model, state.plan, held, may_try=may_try(state.plan, self._held(model)))
            ):
                member.held[model] = after(state.plan, held, order)
                member.send(order)
        pending, candidate = state.pending, state.plan.candidate
        if pending is None or candidate is None:
            return
        joined = list(self._joined_members())
        if joined and all(candidate.build in member.proven(model) for member in joined):
            pending.set_result(None)

    def _admit(self) -> None:
        for number, member in self._members.items():
            if not member.joined and all(caught_up(self._models[m].plan, held) for m, held in member.held.items()):
                member.joined = True
                self._listener.on_joined(number)
                for model in self._models:
                    self._check_agreement(model)

    def _check_agreement(self, model: str) -> None:
        """Once every worker has reported that it serves what is planned, each may say so of all."""
        current = self._models[model].plan.served[0]
        if current is not None and all(m.reported.get(model) == current for m in self._joined_members()):
            self._send_all(AllServe(model, current), model)

    def _held(self, model: str) -> list[WorkerVersions]:
        """What each worker that knows the model holds of it."""
        return [member.held[model] for member in self._members.values() if model in member.held]

    def _joined_members(self) -> Iterable[FleetMember]:
        return (member for member in self._members.values() if member.joined)

    def _send_all(self, command: Command, model: str | None = None) -> None:
        """To every worker; where it is about a model, to those that know it."""
        for member in self._members.values():
            if model is None or model in member.held:
                member.send(command)

    def __repr__(self) -> str:
        plans = ", ".join(f"{name} {model.plan.served}" for name, model in self._models.items())
        return f"<WorkerFleet of {len(self._members)}, {len(self.joined)} joined: {plans}>"
