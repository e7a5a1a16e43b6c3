"""One version being served: leases, conforming, closing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from penstock.errors import Closing, PredictError, SchemaViolation
from penstock.metrics import Metrics
from penstock.payload import Payload
from penstock.serving.servable import Servable, ServingOptions, State
from serving.fakes import FakePredictor, loaded, settle, tensors, until, values_of


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


@pytest.fixture
def make(metrics: Metrics, identity_onnx_package: Path) -> Any:
    def servable(
        predictor: FakePredictor | None = None, package: Path = identity_onnx_package, **more: Any
    ) -> Servable:
        unjoined = more.pop("unjoined", "")
        options = ServingOptions(**more) if more else None
        return Servable("m", "1", loaded(package, predictor, unjoined=unjoined), metrics, options)

    return servable


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"penstock_{name}", {"model": "m", "version": "1", **labels})


async def test_a_servable_predicts_off_the_event_loop(make: Any, metrics: Metrics) -> None:
    import threading

    seen: list[str] = []

    def note(payload: Payload, params: Mapping[str, Any]) -> Payload:
        seen.append(threading.current_thread().name)
        return payload

    servable = make(FakePredictor(note))
    found = await asyncio.gather(*(servable.predict(tensors(v, width=3), {}) for v in range(3)))
    assert [values_of(f.payload) for f in found] == [[0], [1], [2]]
    assert len(seen) == 1
    assert seen[0].startswith("penstock-m")
    assert value(metrics, "rows_total") == 3
    assert value(metrics, "batches_total", reason="idle") == 1
    assert value(metrics, "batch_rows_sum") == 3
    assert value(metrics, "queue_rows") == 0
    await servable.close()


async def test_a_models_own_error_keeps_its_cause(make: Any) -> None:
    def broken(payload: Payload, params: Mapping[str, Any]) -> Payload:
        raise ZeroDivisionError("by nothing")

    servable = make(FakePredictor(broken))
    with pytest.raises(PredictError, match="ZeroDivisionError") as caught:
        await servable.predict(tensors(1), {})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    await servable.close()


async def test_a_model_that_calls_exit_fails_its_caller_alone(make: Any) -> None:
    def leaving(payload: Payload, params: Mapping[str, Any]) -> Payload:
        raise SystemExit(3)

    servable = make(FakePredictor(leaving))
    with pytest.raises(PredictError, match="SystemExit"):
        await servable.predict(tensors(1), {})
    await servable.close()


async def test_a_lease_keeps_a_servable_open(make: Any) -> None:
    servable = make()
    with servable.lease() as leased, servable.lease():
        assert leased is servable
        closing = asyncio.create_task(servable.close())
        await settle()
        assert (servable.state, closing.done()) == (State.DRAINING, False)
        assert repr(servable).startswith("<Servable m 1 draining, 2 leases")
        assert (await servable.predict(tensors(4, width=3), {})).payload.rows == 1
    await closing
    assert servable.state is State.CLOSED
    assert servable.loaded.predictor.closed == 1


async def test_a_closing_servable_gives_no_lease(make: Any) -> None:
    servable = make()
    with servable.lease():
        closing = asyncio.create_task(servable.close())
        await settle()
        with pytest.raises(Closing), servable.lease():
            pass
    await closing
    with pytest.raises(Closing), servable.lease():
        pass


async def test_a_lease_is_given_back_after_an_error(make: Any) -> None:
    servable = make()
    with pytest.raises(RuntimeError), servable.lease():
        raise RuntimeError
    await asyncio.wait_for(servable.close(), 5)


async def test_close_waits_for_the_thread_that_works(make: Any) -> None:
    began, may_end = Event(), Event()

    def slow(payload: Payload, params: Mapping[str, Any]) -> Payload:
        began.set()
        assert may_end.wait(10)
        return payload

    servable = make(predictor := FakePredictor(slow))
    asking = asyncio.ensure_future(servable.predict(tensors(1), {}))
    await until(began.is_set)
    closing = asyncio.create_task(servable.close())
    await settle()
    assert not predictor.closed
    may_end.set()
    await closing
    assert predictor.closed == 1
    assert values_of((await asking).payload) == [1]
    with pytest.raises(Closing):
        await servable.predict(tensors(1), {})


async def test_close_twice_is_close_once(make: Any) -> None:
    servable = make()
    await asyncio.gather(servable.close(), servable.close())
    await servable.close()
    assert servable.loaded.predictor.closed == 1


async def test_unjoined_requests_run_at_once_as_far_as_concurrency_goes(make: Any) -> None:
    import threading

    together = threading.Barrier(2, timeout=10)

    def meet(payload: Payload, params: Mapping[str, Any]) -> Payload:
        together.wait()  # passes only if two are here at once
        return payload

    servable = make(FakePredictor(meet), unjoined="for the test", concurrency=2)
    assert not servable.joined
    found = await asyncio.gather(*(servable.predict(tensors(v), {}) for v in range(4)))
    assert [values_of(f.payload) for f in found] == [[0], [1], [2], [3]]
    await servable.close()


async def test_options_reach_the_batcher(make: Any, metrics: Metrics) -> None:
    sizes: list[int | None] = []

    def note(payload: Payload, params: Mapping[str, Any]) -> Payload:
        sizes.append(payload.rows)
        return payload

    servable = make(FakePredictor(note), max_rows=2, max_queue_rows=7)
    await servable.predict(tensors(1, 2, 3), {})
    assert sizes == [2, 1]
    assert value(metrics, "queue_limit_rows") == 7
    await servable.close()


async def test_params_get_their_defaults(make: Any, python_package: Path) -> None:
    servable = make(package=python_package)
    assert servable.conform_params(None) == {"offset": 0.0}
    assert servable.conform_params({"offset": 2, "unknown": 1}) == {"offset": 2.0}
    with pytest.raises(SchemaViolation, match="offset"):
        servable.conform_params({"offset": "much"})
    await servable.close()
