"""A real Prometheus scrapes real hubs: every expression of the dashboard's row and of the rules finds something,
nothing fires while all is well, and every alert fires for a real fault."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.prometheus import Prometheus
from services.tools import give_up, require_tool
from support.observability import hub_alerts, hub_questions

pytestmark = pytest.mark.services

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"

# What finds nothing while all is well, and why.
EMPTY_WHILE_ALL_IS_WELL = {
    "panel Failed hub requests by endpoint": "nothing fails",
    **{f"alert {rule['alert']}": "a fault makes it" for rule in hub_alerts()},
}

# What the tests below make fire, each by a fault of its own.
TRIED = {
    "PenstockHubAbsent", "PenstockHubArtifactsFailing", "PenstockHubCommitsSlow", "PenstockHubDiskFilling",
    "PenstockHubDown", "PenstockHubErrors", "PenstockHubStoreUnavailable", "PenstockHubWritesNotTaken",
}  # fmt: skip

# The whole disk of the hub that gets a small one.
DISK_BYTES = 48 * 1024 * 1024


class HubServer:
    """A hub in a process of its own, with all that it keeps in `place`; on a small disk of its own where `small`."""

    def __init__(self, place: Path, *, small: bool = False) -> None:
        self.place = place
        (place / "data").mkdir(parents=True)
        command = [sys.executable, "-m", "penstock", "hub", "--store", "data", "--port", "0"]
        if small:
            script = 'mount -t tmpfs -o size="$0" tmpfs data && exec "$@"'
            command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(DISK_BYTES), *command]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_"))}
        with (place / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=place, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving on "), (place / "log").read_text()
        self.url = line.removeprefix("serving on ").strip()
        self.instance = self.url.removeprefix("http://")

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


class Trainer:
    """A thread that logs runs and files, searches and downloads, without end; what fails is tried again."""

    def __init__(self, url: str, *, filling: bool = False) -> None:
        self._url = url
        self._filling = filling
        self._run_id = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._thread.start()

    def _train(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            number = 0
            while not self._ending.wait(0.05):
                number += 1
                with suppress(httpx.TransportError):  # a hub that was killed
                    self._epoch(client, number)

    def _epoch(self, client: httpx.Client, number: int) -> None:
        begun = client.post(f"{API}/runs/create", json={"experiment_id": "0", "start_time": number}).json()
        # Where no run can be made, because the disk is full or the database away, files still come to the last one.
        run_id = self._run_id = begun["run"]["info"]["run_id"] if "run" in begun else self._run_id
        client.post(f"{API}/runs/log-metric", json={"run_id": run_id, "key": "loss", "value": 1, "timestamp": number})
        client.post(f"{API}/runs/search", json={"experiment_ids": ["0"], "max_results": 5})
        content = b"x" * (2 * 1024 * 1024 if self._filling else 2000)
        client.put(f"{FILES}/0/{run_id}/artifacts/model.bin", content=content)
        client.get(f"{FILES}/0/{run_id}/artifacts/model.bin")

    def close(self) -> None:
        self._ending.set()
        self._thread.join(60)


class HubScene:
    """Two hubs under light load: `calm`, and `faulty`, to which things happen."""

    def __init__(self, place: Path, prometheus: Prometheus, stack: ExitStack) -> None:
        self.place = place
        self.prometheus = prometheus
        self._stack = stack
        self.calm = self.launch("calm")
        self.faulty = self.launch("faulty")

    def launch(self, name: str, *, small: bool = False) -> HubServer:
        """The name is its namespace, too."""
        hub = HubServer(self.place / name, small=small)
        self._stack.callback(hub.stop)
        self._stack.callback(Trainer(hub.url, filling=small).close)
        self.prometheus.watch(hub.url, namespace=name)
        return hub


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubScene]:
    program = require_tool("prometheus", debian="prometheus")
    place = tmp_path_factory.mktemp("hubs")
    with ExitStack() as stack:
        prometheus = stack.enter_context(closing(Prometheus(program, place)))
        yield HubScene(place, prometheus, stack)


def test_every_alert_is_tried() -> None:
    assert {rule["alert"] for rule in hub_alerts()} == TRIED


def test_every_expression_finds_something(scene: HubScene) -> None:
    assert len(hub_questions()) > 25
    for asked in hub_questions():
        expression = asked.filled("10s", "10m")
        if asked.where in EMPTY_WHILE_ALL_IS_WELL:
            scene.prometheus.query(expression)  # which raises where it is none
            continue

        def numbers(expression: str = expression) -> bool:
            return any(not math.isnan(float(sample["value"][1])) for sample in scene.prometheus.query(expression))

        scene.prometheus.until(numbers, f"{asked.where} has a number: {expression}", 20)


def test_nothing_fires_while_all_is_well(scene: HubScene) -> None:
    scene.prometheus.until_evaluated()
    alerts = {rule["alert"] for rule in hub_alerts()}
    # A disk that is nearly full may be that of the machine.
    usage = shutil.disk_usage(scene.place)
    expected = {"PenstockHubDiskFilling"} if usage.free < 0.1 * usage.total else set()
    assert {name for name, seen in scene.prometheus.fired.items() if seen} & alerts <= expected


@pytest.fixture
def locked(scene: HubScene) -> Iterator[None]:
    """Somebody else writes to the database of the faulty hub, over a second each time."""
    ending = threading.Event()

    def hold() -> None:
        file = scene.faulty.place / "data" / "registry.db"
        while not ending.wait(0.2):
            with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as other:
                other.execute("BEGIN IMMEDIATE")
                ending.wait(1.5)
                other.execute("ROLLBACK")

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    yield
    ending.set()
    thread.join(40)


@pytest.mark.usefixtures("locked")
def test_commits_are_slow_where_somebody_else_holds_the_database(scene: HubScene) -> None:
    _said_well(scene.prometheus.until_fired("PenstockHubCommitsSlow", namespace="faulty", severity="warning"))


def test_a_database_that_is_taken_away_is_unavailable(scene: HubScene) -> None:
    data = scene.faulty.place / "data"
    data.rename(scene.place / "away")
    try:
        fired = scene.prometheus.until_fired("PenstockHubStoreUnavailable", namespace="faulty", severity="critical")
        _said_well(fired)
        _said_well(scene.prometheus.until_fired("PenstockHubErrors", namespace="faulty", job="penstock"))
    finally:
        (scene.place / "away").rename(data)
    up = f'penstock_hub_store_up{{instance="{scene.faulty.instance}"}} == 1'
    scene.prometheus.until(lambda: bool(scene.prometheus.query(up)), "the database is back")


def test_a_disk_that_fills_is_told_before_it_is_full_and_then_what_it_does_not_take(scene: HubScene) -> None:
    tried = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if shutil.which("unshare") is None or subprocess.run(tried, capture_output=True).returncode:
        give_up("a disk of a test's own needs user namespaces: sysctl kernel.unprivileged_userns_clone=1")
    scene.launch("small", small=True)
    filling = scene.prometheus.until_fired("PenstockHubDiskFilling", namespace="small", place="artifacts")
    failing = scene.prometheus.until_fired("PenstockHubArtifactsFailing", namespace="small")
    not_taken = scene.prometheus.until_fired("PenstockHubWritesNotTaken", namespace="small", severity="critical")
    for fired in (filling, failing, not_taken):
        _said_well(fired)
    asked = next(q for q in hub_questions() if q.where == "panel Failed hub requests by endpoint")
    scene.prometheus.until(lambda: bool(scene.prometheus.query(asked.filled("1m"))), "failed requests show")


def test_a_hub_that_was_killed_is_down_and_when_all_are_gone_that_is_told(scene: HubScene) -> None:
    """Last, since nothing is left afterwards."""
    scene.calm.process.kill()
    _said_well(scene.prometheus.until_fired("PenstockHubDown", namespace="calm", severity="critical"))
    _said_well(scene.prometheus.until_fired("PenstockHubAbsent", namespace="calm", severity="critical"))


def _said_well(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]
    for text in notes.values():
        assert text
        assert "{{" not in text
        assert "<" not in text  # <no value>, <error expanding template: …>
    assert notes["runbook_url"].endswith(alert["labels"]["alertname"].lower())
