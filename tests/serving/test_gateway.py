"""All served models behind one door: names, readiness, beginning and end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ModelNotServed, ProofFailed
from penstock.metrics import Metrics
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable, State
from penstock.serving.served_model import ServedModel
from serving.fakes import loaded, settle, until


class Scripted:
    """A source that swaps a version in, or fails, and then does something else for ever or until it fails."""

    def __init__(self, served: ServedModel, servable: Servable | None, *, later: Exception | None = None) -> None:
        self.served = served
        self.servable = servable
        self.later = later
        self.running = False
        self.stopped = False
        self.given_up: tuple[str, str, str] | None = None

    async def start(self) -> None:
        if self.servable is None:
            raise ProofFailed("It does not repeat its answer.")
        self.served.swap(self.servable)

    async def try_once(self) -> None:
        await self.start()

    async def run(self) -> None:
        if self.later is not None:
            raise self.later
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True

    def wake(self) -> None:
        pass

    def give_up(self, model: str, version: str, reason: str) -> None:
        self.given_up = (model, version, reason)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


@pytest.fixture
def servable(metrics: Metrics, identity_onnx_package: Path) -> Any:
    def make(name: str, version: str = "1") -> Servable:
        return Servable(name, version, loaded(identity_onnx_package), metrics)

    return make


def models(metrics: Metrics, *names: str) -> list[ServedModel]:
    return [ServedModel(name, metrics) for name in names]


def ready(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("penstock_ready")


async def test_a_lone_model_is_the_default(metrics: Metrics, servable: Any) -> None:
    (model,) = models(metrics, "a")
    gateway = Gateway([model], metrics)
    model.swap(one := servable("a"))
    assert gateway.find(None) is gateway.find("a") is gateway.find("a", "1") is gateway.find(None, "1") is one
    await gateway.close()


async def test_several_models_need_a_name_or_a_default(metrics: Metrics, servable: Any) -> None:
    a, b = models(metrics, "b", "a")
    gateway = Gateway([a, b], metrics)
    with pytest.raises(ModelNotServed, match=r"/models/NAME/invocations \(served: a, b\)"):
        gateway.find(None)
    named = Gateway([a, b], metrics, default="a")
    b.swap(servable("a"))
    assert named.find(None).model == "a"
    assert [m.name for m in named.models] == ["a", "b"]
    await named.close()


def test_an_unknown_name_is_not_repeated(metrics: Metrics) -> None:
    gateway = Gateway(models(metrics, "a"), metrics)
    with pytest.raises(ModelNotServed, match=r"no model with that name \(served: a\)") as caught:
        gateway.find("<script>")
    assert "script" not in str(caught.value)


def test_a_gateway_without_models_is_never_ready(metrics: Metrics) -> None:
    gateway = Gateway([], metrics)
    assert not gateway.ready
    assert ready(metrics) == 0
    with pytest.raises(ModelNotServed, match="served: none"):
        gateway.find("a")


async def test_a_gateway_is_ready_once_every_model_is_loaded_and_stays_so(metrics: Metrics, servable: Any) -> None:
    a, b = models(metrics, "a", "b")
    gateway = Gateway([a, b], metrics)
    assert not gateway.ready
    a.swap(servable("a"))
    assert (gateway.ready, ready(metrics)) == (False, 0)
    b.swap(servable("b"))
    assert (gateway.ready, ready(metrics)) == (True, 1)
    gateway._models["later"] = ServedModel("later", metrics)
    assert gateway.ready
    gateway.drain()
    assert (gateway.ready, gateway.draining, ready(metrics)) == (False, True, 0)
    assert gateway.find("a")  # requests are still answered
    await gateway.close()


async def test_waiting_until_ready_ends_when_all_names_and_patterns_are_there(metrics: Metrics, servable: Any) -> None:
    gateway = Gateway([], metrics, names=["a", "b"], patterns=["models:/x-*@production"])
    a, b = (ServedModel(name, metrics, events=gateway) for name in ("a", "b"))
    waiting = asyncio.create_task(gateway.until_ready())
    steps: list[tuple[list[str], Callable[[], object]]] = [
        (["a", "b", "models:/x-*@production"], lambda: a.swap(servable("a"))),
        (["b", "models:/x-*@production"], lambda: gateway.pattern_started("models:/x-*@production")),
        (["b"], lambda: b.swap(servable("b"))),
    ]
    for missing, step in steps:
        await settle()
        assert gateway.waiting_for == missing
        assert not waiting.done()
        for model in (a, b):  # they may come later than their names
            if not gateway.serves(model.name):
                gateway.add(model)
        step()
    await asyncio.wait_for(waiting, 10)
    await gateway.until_ready()
    await gateway.close()


async def test_start_loads_and_follows_and_close_ends_it_all(metrics: Metrics, servable: Any) -> None:
    a, b = models(metrics, "a", "b")
    sources = [Scripted(a, servable("a")), Scripted(b, servable("b"))]
    gateway = Gateway([a, b], metrics, sources=sources)
    await gateway.start()
    await asyncio.sleep(0)
    assert gateway.ready
    assert [s.running for s in sources] == [True, True]
    assert repr(gateway).startswith("<Gateway ready: <ServedModel a: current <Servable a 1 ready")
    await gateway.close()
    assert [s.stopped for s in sources] == [True, True]
    assert [s.servable.state for s in sources if s.servable] == [State.CLOSED, State.CLOSED]
    assert not gateway.ready


async def test_a_model_that_cannot_be_loaded_fails_the_start(metrics: Metrics, servable: Any) -> None:
    a, b = models(metrics, "a", "b")
    sources = [Scripted(a, servable("a")), Scripted(b, None)]
    gateway = Gateway([a, b], metrics, sources=sources)
    with pytest.raises(ProofFailed):
        await gateway.start()
    assert not gateway.ready
    await asyncio.sleep(0)
    await gateway.close()
    assert sources[0].stopped
    assert sources[0].servable is not None
    assert sources[0].servable.state is State.CLOSED


async def test_a_follower_that_broke_does_not_keep_close_from_closing(
    metrics: Metrics, servable: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (a,) = models(metrics, "a")
    source = Scripted(a, servable("a"), later=RuntimeError("a bug"))
    gateway = Gateway([a], metrics, sources=[source])
    await gateway.start()
    await asyncio.sleep(0)
    await gateway.close()
    assert source.servable is not None
    assert source.servable.state is State.CLOSED
    assert [r.levelno for r in caplog.records if r.exc_info] == [logging.ERROR]


async def test_a_version_that_fails_is_given_up_by_the_sources(metrics: Metrics, servable: Any) -> None:
    gateway = Gateway([], metrics, names=["a"])
    gateway.add(a := ServedModel("a", metrics, events=gateway))
    gateway.sources.add(source := Scripted(a, servable("a")))
    await gateway.start()
    a.version_failed("1", "ended with code 3")
    assert source.given_up == ("a", "1", "ended with code 3")
    await gateway.close()


async def test_a_scrape_does_not_hold_the_loop_up(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(models(metrics, "m"), metrics)
    begun, go_on = threading.Event(), threading.Event()

    def render() -> bytes:
        begun.set()
        assert go_on.wait(10)
        return b"numbers"

    monkeypatch.setattr(metrics, "render", render)
    scrape = asyncio.create_task(gateway.exposition())
    await until(begun.is_set)  # which needs the loop
    go_on.set()
    assert await scrape == b"numbers"
    await gateway.close()


@pytest.mark.parametrize("cyclic", [True, False])
async def test_what_a_closed_version_left_is_collected_as_thoroughly_as_it_needs(
    metrics: Metrics, servable: Any, monkeypatch: pytest.MonkeyPatch, cyclic: bool
) -> None:
    thaws: list[bool] = []
    monkeypatch.setattr("penstock.serving.garbage.settle", lambda *, thaw=True: thaws.append(thaw))
    gateway = Gateway([], metrics, names=["a"], tidy=True)
    gateway.add(a := ServedModel("a", metrics, events=gateway))
    first = servable("a")
    first.loaded.predictor.cyclic = cyclic
    gateway.sources.add(Scripted(a, first))
    await gateway.start()
    assert thaws == [True]
    a.arrange(servable("a", "2"), None)
    await until(lambda: len(thaws) == 2)
    assert thaws[1] is cyclic
    await gateway.close()
