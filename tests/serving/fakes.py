"""Stand-ins for models: a runner that can be held, a predictor made of a function, and a loaded model around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penstock.errors import PredictError
from penstock.flavors import Predictor
from penstock.loading import LoadedModel, Proof
from penstock.package import PackagedModel
from penstock.payload import Params, Payload, Tensors
from penstock.registry.interface import ModelVersion
from penstock.serving.batching.lanes import Batch
from penstock.serving.runners.isolation import Loaded
from penstock.serving.swap.target import LoadedVersion, Prepare, load_beside

Function = Callable[[Payload, Mapping[str, Any]], Payload]


def identity(payload: Payload, params: Mapping[str, Any]) -> Payload:
    return payload


def tensors(*values: float, width: int = 1, dtype: Any = np.float64) -> Tensors:
    """One array, a row for each value, the value repeated over `width` columns."""
    return Tensors.single(np.repeat(np.array(values, dtype=dtype)[:, None], width, axis=1))


def values_of(payload: Payload) -> list[Any]:
    """The first column of a payload made by `tensors`."""
    assert isinstance(payload, Tensors)
    return list(payload.arrays[0][:, 0].tolist())


class FakeRunner:
    """Runs a function on the event loop. While held, calls wait; `calls` has what came, in order."""

    together = 1

    def __init__(
        self, function: Function = identity, *, slots: int = 1, ahead: int = 0, seconds: float = 0.001
    ) -> None:
        self.slots = slots
        self.ahead = ahead
        self.seconds = seconds
        self.function = function
        self.calls: list[Payload] = []
        self.running = 0
        self.most_at_once = 0
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    @property
    def sizes(self) -> list[int | None]:
        return [call.rows for call in self.calls]

    async def run(self, payload: Payload, params: Params) -> tuple[Payload, float]:
        assert self.running < self.slots + self.ahead, "more calls at once than there are slots"
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.calls.append(payload)
        try:
            await asyncio.sleep(0)
            await self._free.wait()
            return self.function(payload, params or {}), self.seconds
        finally:
            self.running -= 1

    async def close(self) -> None: ...


class Watching:
    """A batcher's observer that remembers."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int, str]] = []
        self.waiting: list[int] = []
        self.large_waiting: list[int] = []
        self.rates: list[float] = []

    def dispatched(self, batch: Batch) -> None:
        self.batches.append((len(batch.jobs), batch.rows, batch.reason))

    def queued(self, rows: int, large: int) -> None:
        self.waiting.append(rows)
        self.large_waiting.append(large)

    def drained(self, rate: float) -> None:
        self.rates.append(rate)


class FakePredictor(Predictor):
    """A predictor made of a function."""

    def __init__(self, function: Function = identity, *, joinable: bool = True) -> None:
        self.joinable = joinable
        self.function = function
        self.closed = 0

    def _predict(self, payload: Payload, params: Params) -> Payload:
        assert not self.closed, "a closed model was asked"
        return self.function(payload, params or {})

    def close(self) -> None:
        self.closed += 1


def loaded(package: Path, predictor: Predictor | None = None, *, unjoined: str = "") -> LoadedModel:
    """The package, with this predictor in place of its own, as if it had been proven."""
    return LoadedModel(PackagedModel.open(package), predictor or FakePredictor(), Proof(False, unjoined))


def fails_on(*bad: float) -> Function:
    """The identity, which fails where one of these values is among the rows, and names those that are."""

    def function(payload: Payload, params: Mapping[str, Any]) -> Payload:
        found = [v for v in values_of(payload) if v in bad]
        if found:
            raise PredictError(f"bad rows {found}")
        return payload

    return function


async def settle(turns: int = 20) -> None:
    """Lets everything that can go on do so; nothing here needs more turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any], *, seconds: float = 30.0) -> None:
    """Waits for what happens in another thread, by looking."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.002)


def in_a_thread(
    load: Callable[[ModelVersion], Loaded], serving: Callable[[], bool] = lambda: True
) -> Prepare[LoadedVersion]:
    """Loads off the event loop; throttled while this process answers requests, also with other models."""

    async def prepare(version: ModelVersion) -> LoadedVersion:
        return LoadedVersion(version.version, await asyncio.to_thread(load_beside, serving(), load, version))

    return prepare
