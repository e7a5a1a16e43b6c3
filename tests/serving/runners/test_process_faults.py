"""Model processes and what models do to them: real processes, one fault after the other."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from penstock.errors import ModelProcessLost, PredictError
from penstock.machine import restart_policy
from penstock.metrics import Metrics
from penstock.payload import Tensors
from serving import faulty_model as faulty
from serving.apart import FINE, answer, apart, faulty_package
from serving.fakes import until


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faulty_package(tmp_path_factory.mktemp("faulty") / "faulty")


@pytest.fixture
def forgiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every crash counts as the first one, after which a process starts again at once."""
    monkeypatch.setattr(restart_policy, "FORGIVEN_AFTER", 0.0)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_a_process_survives_errors_and_memory_limits(package: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with apart(package, memory_limit=1 << 30) as servable:
        for fault, words in [
            (faulty.raises, "ValueError: not these numbers"),
            (faulty.leaves, "SystemExit: 3"),
            (faulty.grows, r"more memory than the limit of its process, 1\.0 GiB\..*the setting memory_limit"),
            (faulty.bombs, "more memory|can't start new thread"),
        ]:
            with pytest.raises(PredictError, match=words):
                await answer(servable, fault)
        assert await answer(servable, faulty.shortens) == [[-10.0, 0.0]]  # one caller's own affair
        assert await answer(servable, faulty.talks)
        assert await answer(servable, faulty.floods)
        assert await answer(servable) == FINE
        assert servable.processes[0].restarts == 0
        await until(lambda: "lines left out" in caplog.text)
        printed = [record for record in caplog.records if record.name == "penstock.model"]
        assert len(printed) < 400
        assert "faulty: hello\ufffd[31m from the model" in caplog.text
        assert servable.processes[0].memory_bytes > 10_000_000


@pytest.mark.usefixtures("forgiving")
async def test_a_process_that_ends_is_followed_by_one_that_answers(
    package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each takes what is under way with it; the next process answers."""
    metrics = Metrics(process=False)
    async with apart(package, metrics, time_limit=1.0) as servable:
        for number, (fault, words) in enumerate(
            [
                (faulty.exits, "ended with code 3"),
                (faulty.crashes, r"killed by signal 11 \(SIGSEGV\)"),
                (faulty.closes, "ended with code 1"),
                (faulty.loops, "did not answer within 1 s"),
                (faulty.stops, "did not answer within 1 s"),
            ],
            start=1,
        ):
            pid = servable.processes[0].pid
            assert pid is not None
            beside = asyncio.ensure_future(answer(servable, faulty.sleeps, 600.0))
            with pytest.raises(ModelProcessLost, match="this request is lost") as lost:
                await answer(servable, fault)
            assert lost.value.retry_after == 1
            with pytest.raises(ModelProcessLost):
                await beside
            assert await answer(servable) == FINE  # waited for the next process
            assert servable.processes[0].restarts == number
            assert words.replace("\\", "") in caplog.text
            await until(lambda pid=pid: gone(pid))  # type: ignore[misc]
        text = metrics.render().decode()
        assert 'penstock_model_process_restarts_total{model="faulty",version="1"} 5.0' in text
        assert 'penstock_model_processes{model="faulty",state="ready",version="1"} 1.0' in text


async def test_a_version_that_keeps_ending_is_reported(package: Path) -> None:
    failures: list[tuple[str, str]] = []
    async with apart(package, on_failed=lambda version, reason: failures.append((version, reason))) as servable:
        process = servable.processes[0]
        with pytest.raises(ModelProcessLost):
            await answer(servable, faulty.exits)
        assert await answer(servable) == FINE  # the first time it starts again at once
        with pytest.raises(ModelProcessLost):
            await answer(servable, faulty.exits)
        await until(lambda: process.state == "waiting")
        with pytest.raises(ModelProcessLost, match="will restart soon") as refused:
            await answer(servable)
        assert refused.value.retry_after == 1
        await until(lambda: process.state == "ready", seconds=30)
        assert failures == []
        with pytest.raises(ModelProcessLost):
            await answer(servable, faulty.exits)
        await until(lambda: failures)
        assert failures == [("1", "ended with code 3")]
        assert process.state == "failed"
        await until(lambda: process.state == "ready", seconds=30)  # tried again all the same
        assert await answer(servable) == FINE


async def test_nothing_remains_of_a_closed_version(package: Path) -> None:
    """Not even what the model has started, in a session of its own."""
    async with apart(package) as servable:
        (child,) = await answer(servable, faulty.bears)
        model, keeper = servable.processes[0].pid, servable.processes[0].keeper
        assert not gone(int(child))
    assert all(gone(int(pid)) for pid in (child, model, keeper) if pid is not None)


async def test_a_process_that_is_closed_finishes_what_is_under_way(package: Path) -> None:
    async with apart(package) as servable:
        under_way = asyncio.ensure_future(answer(servable, faulty.sleeps, 0.3))
        await asyncio.sleep(0.05)
    assert (await under_way)[1] == [1.0, 2.0]


async def test_instances_share_the_work(package: Path) -> None:
    async with apart(package, instances=2, slots=1) as servable:
        pids = await asyncio.gather(*(answer(servable, faulty.tells) for _ in range(2)))
        assert len({pid for (pid,) in pids}) == 2
        with pytest.raises(ModelProcessLost):
            await answer(servable, faulty.exits)
        began = perf_counter()
        assert await answer(servable) == FINE  # by the other one
        assert perf_counter() - began < 5.0
        await until(lambda: [p.state for p in servable.processes] == ["ready", "ready"], seconds=30)


@pytest.mark.usefixtures("forgiving")
async def test_a_joined_batch_that_kills_the_process_is_not_tried_again(tmp_path: Path) -> None:
    async with apart(faulty_package(tmp_path / "joined", batchable=True)) as servable:
        assert servable.joined
        rows = [np.array([[value, 0.0]]) for value in (1.0, -1.0 - faulty.FAULTS.index(faulty.exits), 2.0)]
        # Three callers; whose row comes first decides what the model does with all, so the killer goes first.
        rows.sort(key=lambda row: row[0, 0])
        found = await asyncio.gather(
            *(servable.predict(Tensors.single(row), {"seconds": 0.0}) for row in rows), return_exceptions=True
        )
        assert [type(error) for error in found] == [ModelProcessLost] * 3
        assert await answer(servable) == FINE
        assert servable.processes[0].restarts == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("import os\nos._exit(7)\n", "ended with code 7 while it loaded"),
        ("import ctypes\nctypes.string_at(0)\n", r"killed by signal 11 \(SIGSEGV\) while it loaded"),
        ("raise SystemExit('not today')\n", "SystemExit: not today"),
    ],
)
async def test_a_package_that_cannot_be_loaded_says_how_its_process_ended(
    package: Path, copied: Callable[[Path], Path], spoil: str, words: str
) -> None:
    broken = copied(package)
    (broken / "SHA256SUMS").unlink()
    (broken / "model.py").write_text(spoil)
    with pytest.raises(Exception, match=words):
        async with apart(broken):
            pass


async def test_the_gateways_secrets_are_not_the_models(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_API_TOKEN", "secret")
    async with apart(package) as servable:
        pid = servable.processes[0].pid
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: ASYNC230  (no disk behind it)
            assert b"PENSTOCK_" not in file.read()


async def test_a_model_process_is_out_of_reach_of_the_terminals_signals(package: Path) -> None:
    """Ctrl-C reaches the gateway's group, and no process of a model."""
    async with apart(package) as servable:
        process = servable.processes[0]
        assert process.pid is not None
        assert process.keeper is not None
        groups: list[Any] = [os.getpgid(pid) for pid in (process.pid, process.keeper)]
        assert groups == [process.pid, process.keeper]
        assert os.getpgid(0) not in groups


async def test_a_model_that_waits_is_asked_side_by_side(package: Path) -> None:
    async with apart(package, slots=4) as servable:
        began = perf_counter()
        await asyncio.gather(*(answer(servable, faulty.sleeps, 1.0) for _ in range(4)))
        assert perf_counter() - began < 3.5  # one after the other they would take four seconds


def environment_of(pid: int | None) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


async def test_libraries_of_a_model_process_keep_to_their_share_of_threads(package: Path) -> None:
    async with apart(package, threads=3) as servable:
        environment = environment_of(servable.processes[0].pid)
        assert {b"OMP_NUM_THREADS=3", b"OPENBLAS_NUM_THREADS=3", b"MKL_NUM_THREADS=3"} <= set(environment)
