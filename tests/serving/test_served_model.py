"""Versions of one name: which answers, which waits warm, and when the others go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ModelLoading, ModelNotServed
from penstock.loading import LoadedModel
from penstock.metrics import Metrics
from penstock.serving.servable import Servable, State
from penstock.serving.served_model import ServedModel
from serving.fakes import FakePredictor, loaded, settle, tensors, until


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


@pytest.fixture
async def served(metrics: Metrics) -> Any:
    model = ServedModel("m", metrics, alias="production", forget_after=0.02)
    yield model
    await model.close()


@pytest.fixture
def version(metrics: Metrics, identity_onnx_package: Path) -> Any:
    def make(number: str) -> Servable:
        return Servable("m", number, loaded(identity_onnx_package), metrics)

    return make


def predictor_of(servable: Servable) -> FakePredictor:
    model = servable.loaded
    assert isinstance(model, LoadedModel)
    assert isinstance(model.predictor, FakePredictor)
    return model.predictor


def info(metrics: Metrics) -> set[tuple[str, str, str]]:
    """Version, state and alias of every info series."""
    (family,) = [f for f in metrics.registry.collect() if f.name == "penstock_model_info"]
    return {(s.labels["version"], s.labels["state"], s.labels["alias"]) for s in family.samples}


def swaps(metrics: Metrics) -> dict[str, float]:
    kinds = ("load", "swap", "revert")
    found = {k: metrics.registry.get_sample_value("penstock_swaps_total", {"model": "m", "kind": k}) for k in kinds}
    return {k: v for k, v in found.items() if v}


async def test_without_a_version_nothing_is_found(served: ServedModel) -> None:
    assert not served.ready
    with pytest.raises(ModelLoading, match="'m' is not loaded yet"):
        served.find()
    with pytest.raises(ModelNotServed, match=r"loaded: none"):
        served.find("1")


async def test_the_first_version_answers(served: ServedModel, version: Any, metrics: Metrics) -> None:
    served.swap(one := version("1"))
    assert served.ready
    assert served.find() is served.find("1") is one
    assert swaps(metrics) == {"load": 1}
    assert info(metrics) == {("1", "current", "production")}


async def test_a_swap_keeps_the_one_before_warm(served: ServedModel, version: Any, metrics: Metrics) -> None:
    served.swap(one := version("1"))
    served.swap(two := version("2"))
    assert served.find() is two
    assert served.find("1") is one
    assert served.versions == [two, one]
    assert info(metrics) == {("2", "current", "production"), ("1", "previous", "")}
    with pytest.raises(ModelNotServed, match=r"'3' of model 'm' is not loaded \(loaded: 2, 1\)"):
        served.find("3")


async def test_there_is_one_previous_version_at_most(served: ServedModel, version: Any, metrics: Metrics) -> None:
    one = version("1")
    for servable in (one, version("2"), version("3")):
        served.swap(servable)
    assert [s.version for s in served.versions] == ["3", "2"]
    await until(lambda: one.state is State.CLOSED)
    assert one.loaded.predictor.closed == 1
    assert info(metrics) == {("3", "current", "production"), ("2", "previous", "")}


async def test_a_revert_swaps_current_and_previous(served: ServedModel, version: Any, metrics: Metrics) -> None:
    served.swap(one := version("1"))
    served.swap(two := version("2"))
    served.revert()
    assert served.versions == [one, two]
    assert swaps(metrics) == {"load": 1, "swap": 1, "revert": 1}
    assert info(metrics) == {("1", "current", "production"), ("2", "previous", "")}


async def test_a_retired_version_finishes_what_it_holds(served: ServedModel, version: Any) -> None:
    served.swap(one := version("1"))
    served.swap(version("2"))
    with one.lease():
        served.retire_previous()
        assert [s.version for s in served.versions] == ["2"]
        await settle()
        assert one.state is State.DRAINING
        assert (await one.predict(tensors(5, width=3), {})).payload.rows == 1
    await until(lambda: one.state is State.CLOSED)
    served.retire_previous()  # nothing left to do


async def test_series_of_a_closed_version_go_after_a_while(served: ServedModel, version: Any, metrics: Metrics) -> None:
    served.swap(version("1"))
    served.swap(version("2"))
    served.retire_previous()
    await until(lambda: b'version="1"' not in metrics.render())
    assert b'version="2"' in metrics.render()


async def test_a_version_that_comes_back_keeps_its_series(served: ServedModel, version: Any, metrics: Metrics) -> None:
    served.swap(version("1"))
    served.swap(version("2"))
    served.retire_previous()
    await until(lambda: served._forgetting)
    served.swap(again := version("1"))
    again.metrics.rows.inc(7)
    await asyncio.sleep(0.05)  # past the time at which it would have been forgotten
    assert metrics.registry.get_sample_value("penstock_rows_total", {"model": "m", "version": "1"}) == 7


async def test_closing_closes_every_version(metrics: Metrics, version: Any) -> None:
    served = ServedModel("m", metrics)
    one, two = version("1"), version("2")
    served.swap(one)
    served.swap(two)
    await served.close()
    assert (one.state, two.state) == (State.CLOSED, State.CLOSED)
    assert not served.ready
    await served.close()
    assert [predictor_of(s).closed for s in (one, two)] == [1, 1]


async def test_a_served_model_describes_itself(served: ServedModel, version: Any) -> None:
    served.swap(version("1"))
    assert repr(served).startswith("<ServedModel m: current <Servable m 1 ready, 0 leases, <Batcher joined")
    assert predictor_of(served.find()).closed == 0
