"""What a hub knows of its store while nobody asks it anything: whether it answers, and how full its disks are."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from pathlib import Path

import pytest
from prometheus_client import Gauge

from penstock.assembly.hub import HubOptions, open_stores
from penstock.hub.access.gate import HubGate
from penstock.hub.service import Hub
from penstock.metrics import HubMetrics


def number(metrics: HubMetrics, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics.render().decode(), re.MULTILINE)
    assert found, name
    return float(found[1])


class ToldGauge:
    """A gauge whose values can be waited for."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._told: asyncio.Queue[float] = asyncio.Queue()

    def set(self, value: float) -> None:
        self._gauge.set(value)
        self._told.put_nowait(value)

    async def until(self, value: float) -> None:
        async with asyncio.timeout(10):
            while await self._told.get() != value:
                pass


@pytest.mark.parametrize("open_to_everybody", [False, True])
async def test_a_store_that_goes_away_is_said_once_and_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, open_to_everybody: bool
) -> None:
    monkeypatch.setattr("penstock.hub.service._WATCH_SECONDS", 0.01)
    caplog.set_level(logging.INFO, logger="penstock.hub")
    options = HubOptions(str(tmp_path / "store"), str(tmp_path / "artifacts"))
    metrics = HubMetrics(process=False)
    gate = HubGate(asks_for_tokens=False)
    hub = Hub(lambda: open_stores(options), gate, metrics, open_to_everybody=open_to_everybody)
    up = ToldGauge(metrics.store_up)
    monkeypatch.setattr(metrics, "store_up", up)
    await hub.start()
    assert number(metrics, "penstock_hub_store_up") == 1
    (tmp_path / "store").rename(tmp_path / "away")
    for _ in range(3):
        await up.until(0)
    assert number(metrics, "penstock_hub_store_up") == 0
    (tmp_path / "away").rename(tmp_path / "store")
    await up.until(1)
    await hub.close()
    said = [record.message for record in caplog.records if "The store" in record.message]
    assert [text.partition(":")[0] for text in said] == [
        "The store does not answer, and is asked again until it does",
        "The store answers again.",
    ]


def test_disks_are_those_of_what_is_kept_here(tmp_path: Path) -> None:
    metrics = HubMetrics(process=False)
    metrics.watch_disk("store", tmp_path / "not" / "made" / "yet")
    free = number(metrics, 'penstock_hub_disk_free_bytes{place="store"}')
    size = number(metrics, 'penstock_hub_disk_size_bytes{place="store"}')
    assert 0 < free < size


def test_a_disk_that_is_gone_takes_no_other_metric_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    def stale(place: Path) -> object:
        if place == gone:
            raise OSError(116, "Stale file handle")
        return shutil.disk_usage(place)

    monkeypatch.setattr("penstock.metrics.hub.disk_usage", stale)
    metrics = HubMetrics(process=False)
    metrics.watch_disk("artifacts", gone)
    metrics.watch_disk("store", tmp_path)
    assert number(metrics, 'penstock_hub_disk_free_bytes{place="store"}') > 0
    assert 'place="artifacts"' not in metrics.render().decode()
