"""The hub's own summary of a run's metrics, beside MLflow's REST."""

from __future__ import annotations

import pytest

from hub.conftest import HubCalls

PATH = "/api/penstock/v1/runs/series"


async def test_series_are_told_with_bounds_and_course(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    points = [{"key": "loss", "value": 10 - step, "timestamp": step, "step": step} for step in range(10)]
    nan = {"key": "odd", "value": "NaN", "timestamp": 1, "step": -2}
    await hub.post("runs/log-batch", run_id=run_id, metrics=[*points, nan])
    loss, odd = (await hub.get(PATH, run_id=run_id, buckets=5)).json()["series"]
    assert loss == {
        "key": "loss", "points": 10, "first_step": 0, "last_step": 9, "value": 1.0, "step": 9, "timestamp": 9,
        "minimum": 1.0, "maximum": 10.0, "means": [9.5, 7.5, 5.5, 3.5, 1.5],
    }  # fmt: skip
    assert odd == {
        "key": "odd", "points": 1, "first_step": -2, "last_step": -2, "value": "NaN", "step": -2, "timestamp": 1,
        "means": ["NaN"],
    }  # fmt: skip
    assert "means" not in (await hub.get(PATH, run_id=run_id)).json()["series"][0]


async def test_series_come_in_pages_by_key(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.hub.handlers.series._PAGE", 2)
    run_id = await hub.made_run()
    metrics = [{"key": key, "value": 1, "timestamp": 1} for key in "dcba"]
    await hub.post("runs/log-batch", run_id=run_id, metrics=metrics)
    first = (await hub.get(PATH, run_id=run_id)).json()
    second = (await hub.get(PATH, run_id=run_id, page_token=first["next_page_token"])).json()
    assert [each["key"] for each in (*first["series"], *second["series"])] == ["a", "b", "c", "d"]
    assert "next_page_token" not in second


async def test_what_cannot_be_told_is_refused(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    assert (await hub.get(PATH, run_id=run_id)).json() == {"series": []}
    assert (await hub.get(PATH, run_id="0" * 32)).status_code == 404
    assert (await hub.get(PATH)).status_code == 400
    assert (await hub.get(PATH, run_id=run_id, buckets=501)).status_code == 400
