"""A fleet whose workers do nothing by themselves."""

from __future__ import annotations

import asyncio

from penstock.errors import PenstockError, ProofFailed
from penstock.metrics import Metrics
from penstock.serving.fleet.fleet_plan import PlannedVersion
from penstock.serving.fleet.fleet_target import FleetTarget, FleetVersion
from penstock.serving.fleet.messages import (
    Command,
    PrepareVersion,
    SetVersions,
    VersionFailed,
    VersionProven,
)
from penstock.serving.fleet.worker_fleet import WorkerFleet
from serving.fakes import settle


def v(number: int | str) -> PlannedVersion:
    return PlannedVersion(str(number), f"/packages/{number}", str(number) * 64)


class World:
    """A fleet for the model `m`; workers that remember their commands, and do nothing by themselves."""

    def __init__(self, size: int = 2) -> None:
        self.fleet = WorkerFleet(size, self)
        self.metrics = Metrics(process=False)
        self.fleet.expect(["m"], [], "m")
        self.target = FleetTarget(self.fleet, "m", self.metrics, alias="production")
        self.orders: dict[int, list[Command]] = {}
        self.joins: list[int] = []
        self.unfits: list[tuple[int, str]] = []
        self.crashes: list[tuple[str, str, str]] = []

    def on_joined(self, number: int) -> None:
        self.joins.append(number)

    def on_crashed(self, model: str, version: str, reason: str) -> None:
        self.crashes.append((model, version, reason))

    def on_unfit(self, number: int, error: PenstockError) -> None:
        self.unfits.append((number, error.message))

    def arrive(self, *numbers: int) -> None:
        for number in numbers:
            self.orders[number] = []
            self.fleet.add_worker(number, self.orders[number].append)

    def preparing(self, number: int) -> str | None:
        """The version that the worker prepares, if that was its last order."""
        last = self.orders[number][-1:]
        return last[0].version if last and isinstance(last[0], PrepareVersion) else None

    def served(self, number: int) -> tuple[str | None, str | None] | None:
        orders = [order for order in self.orders[number] if isinstance(order, SetVersions)]
        return (orders[-1].current, orders[-1].previous) if orders else None

    def proven(self, number: int, version: int | str) -> None:
        self.fleet.on_event(number, VersionProven("m", str(version)))

    def failed(self, number: int, version: int | str) -> None:
        self.fleet.on_event(number, VersionFailed("m", str(version), ProofFailed.code, f"worker {number} says no", ""))

    def prepare(self, version: int | str) -> asyncio.Task[FleetVersion]:
        return asyncio.create_task(self.target.prepare(v(version)))

    async def serve(self, version: int | str) -> None:
        """All that is here proves this version, and answers with it."""
        preparing = self.prepare(version)
        await settle()
        for _ in self.orders:  # one tries first
            for number in self.orders:
                if self.preparing(number) == str(version):
                    self.proven(number, version)
                    self.orders[number].append(SetVersions("m", *(self.served(number) or (None, None)), str(version)))
        self.target.swap(await preparing)
