"""A prediction that hangs in a thread: that version alone is asked again later, and a process takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from penstock.errors import Closing, ModelProcessLost
from penstock.loading import LoadedModel, LoadOptions
from penstock.metrics import Metrics
from penstock.payload import Payload
from penstock.serving.runners.isolation import IsolatedModel, Isolation
from penstock.serving.runners.runner import ThreadRunner
from penstock.serving.runners.thread_watch import ThreadWatch
from penstock.serving.servable import Servable
from penstock.serving.swap.version_loader import VersionLoader
from serving.fakes import FakePredictor, loaded, tensors, until, values_of


class HangingPredictor(FakePredictor):
    """Hangs over 7, until it is released; says whether it was interrupted."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.release = Event()
        self.interrupted = False

    def answer(self, payload: Payload, params: Any) -> Payload:
        if 7.0 in values_of(payload):
            assert self.release.wait(30)
        return payload

    def interrupt(self) -> None:
        self.interrupted = True


@pytest.fixture
def hanging() -> Iterator[HangingPredictor]:
    predictor = HangingPredictor()
    yield predictor
    predictor.release.set()


async def test_a_watch_tells_once_of_a_thread_that_works_for_too_long(hanging: HangingPredictor) -> None:
    told: list[str] = []
    now = 0.0
    runner = ThreadRunner(hanging, 1)
    watch = ThreadWatch(runner, 60.0, lambda: told.append("stuck"), clock=lambda: now)
    watch.look()
    assert told == []
    answering = runner.run(tensors(7.0), None)
    await until(lambda: runner.working_since)
    began = next(iter(runner.working_since.values()))
    now = began + 59
    watch.look()
    assert told == []
    now = began + 60
    watch.look()
    assert told == ["stuck"]
    hanging.release.set()
    await answering
    assert runner.working_since == {}
    watch.close()
    await runner.close()


@pytest.mark.parametrize("unjoined", ["", "told so"])
async def test_a_process_takes_the_place_of_a_thread_that_hangs(
    identity_onnx_package: Path, hanging: HangingPredictor, unjoined: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    loader = VersionLoader(LoadOptions(), Isolation(mode="none", time_limit=0.1), "m")
    own = await asyncio.to_thread(loader.load, identity_onnx_package, "1")
    assert isinstance(own, LoadedModel)
    begin = Event()

    def apart() -> Any:
        assert begin.wait(30)
        assert own.apart is not None
        return own.apart()

    metrics = Metrics(process=False)
    given = replace(loaded(identity_onnx_package, hanging, unjoined=unjoined), apart=apart, time_limit=0.1)
    servable = Servable("m", "1", given, metrics)
    with servable.lease():
        stuck = servable.predict(tensors(7.0, width=3), None)
        with pytest.raises((Closing, ModelProcessLost)):
            await asyncio.wait_for(stuck, 30)
    assert hanging.interrupted
    with servable.lease(), pytest.raises(ModelProcessLost, match="hangs") as caught:
        await servable.predict(tensors(1.0, width=3), None)
    assert caught.value.retry_after > 0
    assert metrics.registry.get_sample_value("penstock_stuck_threads_total", {"model": "m", "version": "1"}) == 1
    begin.set()
    await until(lambda: isinstance(servable.loaded, IsolatedModel))
    with servable.lease():
        answer = await servable.predict(tensors(7.0, width=3), None)
    assert values_of(answer.payload) == [7.0]
    assert servable.loaded.digest == own.digest
    assert sum("a prediction hangs" in message for message in caplog.messages) == 1
    hanging.release.set()
    await servable.close()
    own.close()


async def test_a_version_that_is_closed_before_it_is_replaced_leaves_no_process(
    identity_onnx_package: Path, hanging: HangingPredictor
) -> None:
    begin, closed = Event(), Event()

    class Process:
        def close(self) -> None:
            closed.set()

    def apart() -> Any:
        assert begin.wait(30)
        return Process()

    given = replace(loaded(identity_onnx_package, hanging), apart=apart, time_limit=0.05)
    servable = Servable("m", "1", given, Metrics(process=False))
    with servable.lease(), pytest.raises((Closing, ModelProcessLost)):
        await asyncio.wait_for(servable.predict(tensors(7.0), None), 30)
    await servable.close()
    begin.set()
    await until(closed.is_set)
