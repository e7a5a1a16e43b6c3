"""Versions that crash, take all memory or hang while they are loaded, promoted beside one that answers and served from
the start: with one worker and with two."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from penstock.publishing import publish
from penstock.registry import Registry, open_registry
from server.conftest import Connection, Launch, ServerProcess, samples
from server.test_swap import metrics_of
from server.worker_processes import workers_of
from serving.fakes import until
from serving.hostile_loads import HARMS, good_package, harmful

_HARMS = ("crash", "bomb", "hang")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("packages")
    good = good_package(place / "good")
    return {"good": good, **{harm: harmful(good, place / harm, harm) for harm in HARMS}}


@pytest.fixture
def registry(tmp_path: Path, packages: dict[str, Path]) -> Any:
    """Version 1 of `moving` is good and in production; 2 crashes, 3 takes all memory, 4 hangs; 5 is good again."""
    opened = open_registry(str(tmp_path / "registry"))
    for name in ("good", *_HARMS, "good"):
        publish(opened, "moving", packages[name])
    opened.promote("moving", "1", by="test")
    yield opened
    opened.close()


def here(*more: object) -> list[object]:
    """Code that runs in the server's own process, within limits that are soon reached."""
    return ["--trust-code", "--isolation", "none", "--memory-limit", "512MiB", *more]


async def answered_by(server: ServerProcess) -> str:
    connection = await Connection.open(server.address)
    status, headers, answer = await connection.post({"inputs": [[1.0, 2.0]]})
    await connection.close()
    assert (status, answer) == (200, {"predictions": [[2.0, 4.0]]})
    return headers["x-model-version"]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.services)])
async def test_a_version_that_does_harm_is_refused_while_the_one_before_answers(
    launch: Launch, registry: Registry, tmp_path: Path, workers: int
) -> None:
    follow = ["moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1", "-w", workers]
    server = launch(*here(*follow)).wait_ready()
    before = workers_of(server)
    for version, why in (("2", "was killed by signal 11 (SIGSEGV) while it loaded"), ("3", "512 MiB")):
        registry.promote("moving", version, by="test")
        refused = f"version {version} cannot be served; still serving version 1."
        await until(lambda refused=refused: refused in server.stderr, seconds=30)  # type: ignore[misc]
        line = next(line for line in server.stderr.splitlines() if refused in line)
        assert why in line
        assert await answered_by(server) == "1"
    registry.promote("moving", "5", by="test")
    await until(lambda: "now serving version 5" in server.stderr, seconds=30)
    assert await answered_by(server) == "5"
    assert workers_of(server) == before
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_load_trials_total", model="moving", outcome="proven") == 2
    assert samples(metrics, "penstock_load_trials_total", model="moving", outcome="lost") >= 1
    assert samples(metrics, "penstock_load_stage_seconds_count", stage="trial", outcome="ok") == 2
    server.signal()
    assert server.wait_exit() == 0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.services)])
def test_a_start_with_a_package_that_crashes_ends_in_words(
    launch: Launch, packages: dict[str, Path], workers: int
) -> None:
    server = launch(*here(packages["good"], packages["crash"], "-w", workers))
    assert server.wait_exit() == 1
    assert "was killed by signal 11 (SIGSEGV) while it loaded its package" in server.stderr


def test_a_second_start_tries_nothing_again(launch: Launch, iris_package: Path, tmp_path: Path) -> None:
    tried = "loaded and proven in a process of its own"
    for expected in (True, False):
        server = launch(iris_package, PENSTOCK_CACHE=str(tmp_path / "cache")).wait_ready()
        assert (tried in server.stderr) is expected
        server.signal()
        assert server.wait_exit() == 0


async def test_a_trial_does_not_hold_up_the_end(launch: Launch, registry: Registry, tmp_path: Path) -> None:
    follow = ["moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1"]
    server = launch(*here(), *follow).wait_ready()
    registry.promote("moving", "4", by="test")
    await until(lambda: "loading version 4" in server.stderr, seconds=30)
    began = time.monotonic()
    server.signal()
    assert server.wait_exit() == 0
    assert time.monotonic() - began < 20
