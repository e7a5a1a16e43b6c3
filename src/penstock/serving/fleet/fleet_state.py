"""What a fleet knows: of each model and of each worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from penstock.serving.fleet.fleet_plan import FleetPlan, WorkerVersions
from penstock.serving.fleet.messages import Command
from penstock.serving.load_failure import LoadFailure

Send: TypeAlias = Callable[[Command], None]


@dataclass(slots=True)
class FleetModel:
    """A model in all workers: its plan, whether it is stale, what keeps the wanted version from answering, and the
    preparation under way. `alias` is None for a model that workers know from their start."""

    plan: FleetPlan = field(default_factory=FleetPlan)
    alias: str | None = None
    stale: bool = False
    failure: LoadFailure | None = None
    preparing: asyncio.Future[None] | None = None

    @property
    def pending(self) -> asyncio.Future[None] | None:
        """The preparation whose outcome is not known yet."""
        return self.preparing if self.preparing is not None and not self.preparing.done() else None


@dataclass(slots=True)
class FleetMember:
    """A worker: how to send it a command, what it holds of each model, the versions that it reported to serve, the
    models that it was asked to remove and has not reported as removed, and whether it takes requests."""

    send: Send
    held: dict[str, WorkerVersions] = field(default_factory=dict)
    reported: dict[str, str | None] = field(default_factory=dict)
    removing: set[str] = field(default_factory=set)
    joined: bool = False

    def proven(self, model: str) -> frozenset[str]:
        return self.held[model].proven if model in self.held else frozenset()
