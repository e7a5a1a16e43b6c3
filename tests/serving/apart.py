"""Versions in processes of their own, for tests: the faulty model, packaged and served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from penstock.loading import LoadOptions
from penstock.metrics import Metrics
from penstock.package.save import save_model
from penstock.payload import Tensors
from penstock.serving.runners.isolation import Isolation, load_served
from penstock.serving.servable import Servable
from serving.faulty_model import FAULTS

SOURCE = Path(__file__).parent / "faulty_model.py"


def faulty_package(place: Path, *, batchable: bool = False) -> Path:
    """The package of the faulty model: arrays (-1, 2) in and out, the param `seconds`."""
    example = np.arange(6.0).reshape(3, 2)
    return save_model(SOURCE, place, example=example, params={"seconds": 0.0}, batchable=batchable).path


@asynccontextmanager
async def apart(
    package: Path,
    metrics: Metrics | None = None,
    *,
    on_failed: Callable[[str, str], None] | None = None,
    **isolation: Any,
) -> AsyncIterator[Servable]:
    """The package served in processes of its own."""
    how = Isolation(**{"mode": "process", "slots": 4, **isolation})
    loaded = await asyncio.to_thread(load_served, package, LoadOptions(trust_code=True), how, "faulty")
    servable = Servable("faulty", "1", loaded, metrics or Metrics(process=False), on_failed=on_failed)
    try:
        yield servable
    finally:
        await servable.close()


def asks(fault: Any) -> Tensors:
    """What makes the model do it."""
    return Tensors.single(np.array([[-1.0 - FAULTS.index(fault), 0.0], [1.0, 2.0]]))


async def answer(servable: Servable, fault: Any = None, seconds: float = 0.0) -> list[Any]:
    """The model's answer to a fault, or to two rows that are none."""
    rows = asks(fault) if fault is not None else Tensors.single(np.array([[1.0, 2.0], [3.0, 4.0]]))
    found = (await servable.predict(rows, {"seconds": seconds})).payload
    assert isinstance(found, Tensors)
    return found.arrays[0].tolist()  # type: ignore[no-any-return]


FINE = [[2.0, 4.0], [6.0, 8.0]]
