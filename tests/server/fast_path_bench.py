"""A bench for the fast path: a model that waits while held, and what came back on a connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from penstock.payload import Payload
from penstock.server.connection.fast_path import MAX_FAST_BYTES
from server.asgi import Bench
from serving.fakes import FakePredictor, until
from support.wire import answers

BODY = json.dumps({"inputs": [[1, 2, 3]]}).encode()


class Model(FakePredictor):
    """Gives rows back; waits while held; fails where asked to."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.calls = 0
        self.free = Event()
        self.free.set()
        self.fails: Exception | None = None

    def _answer(self, payload: Payload, params: Any) -> Payload:
        self.calls += 1
        assert self.free.wait(20)
        if self.fails is not None:
            raise self.fails
        return payload


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    made = Bench(identity_onnx_package, max_body_bytes=2 * MAX_FAST_BYTES)
    yield made
    await made.close()


@pytest.fixture
def model(bench: Bench) -> Model:
    made = Model()
    bench.serve("m", made)
    bench.open()
    return made


async def answered(wire: Any, count: int = 1) -> list[Any]:
    await until(lambda: wire.closed or len(answers(wire.written)) >= count)
    return answers(wire.written)


def fast_path(bench: Bench) -> dict[tuple[str, str], float]:
    """What the metric says of the fast path, without what never happened."""
    (family,) = bench.metrics.fast_path.collect()
    return {(s.labels["outcome"], s.labels["reason"]): s.value for s in family.samples if s.value}
