"""One worker process after the other: started again when it ends, killed when it hangs, drained when it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.http.workers.channel import Channel, WorkerMessage
from penstock.http.workers.messages import Drain, Heartbeat, StartWorker, WorkerMetrics, WorkerStarted
from penstock.http.workers.worker_process import WorkerProcess
from penstock.server.workers.worker import VOCABULARY
from serving.fakes import settle, until


class FakeProcess:
    """A process that ends when it is told to, and the far end of its channel."""

    def __init__(self, far: Channel) -> None:
        self.pid = 1
        self.far = far
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def end(self, code: int) -> None:
        self.returncode = code
        self.far._writer.close()
        self._ended.set()

    def kill(self) -> None:
        self.end(-9)


class World:
    """A worker process and what it reported."""

    def __init__(self) -> None:
        self.processes: list[FakeProcess] = []
        self.messages: list[WorkerMessage] = []
        self.ends: list[str] = []
        self.restarts = 0
        self.needed = False
        self.states: list[str] = []
        self.cannot_start = 0
        self.breaks_on: type[WorkerMessage] | None = None
        self.worker = WorkerProcess(1, self.launch, StartWorker(1, {}, []), self, clock=lambda: 0.0, chance=lambda: 0.0)
        self.keeping = asyncio.create_task(self.worker.keep_running())

    async def launch(self) -> Any:
        if self.cannot_start:
            self.cannot_start -= 1
            raise OSError(11, "Resource temporarily unavailable")
        near, far = await asyncio.gather(*(Channel.over(end, VOCABULARY) for end in socket.socketpair()))
        self.processes.append(FakeProcess(far))
        return self.processes[-1], near

    def on_message(self, worker: WorkerProcess, message: WorkerMessage) -> None:
        if self.breaks_on is not None and isinstance(message, self.breaks_on):
            raise RuntimeError("a bug")
        self.messages.append(message)
        if isinstance(message, WorkerStarted):
            worker.ready = True

    def on_ended(self, worker: WorkerProcess, how: str) -> None:
        self.ends.append(how)

    def is_needed(self, worker: WorkerProcess) -> bool:
        return self.needed

    def on_restart(self, worker: WorkerProcess) -> None:
        self.restarts += 1

    def on_state_change(self) -> None:
        if hasattr(self, "worker"):
            self.states.append(self.worker.state)

    async def started(self, count: int = 1) -> FakeProcess:
        await until(lambda: len(self.processes) == count)
        assert await self.processes[-1].far.receive() == StartWorker(1, {}, [])
        return self.processes[-1]

    async def close(self) -> None:
        self.worker.stop(None)
        for process in self.processes:
            process.end(process.returncode or 0)
            await process.far.close()
        await asyncio.wait_for(self.keeping, 30)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def test_a_process_that_ends_is_followed_by_another(world: World) -> None:
    process = await world.started()
    process.far.send(WorkerStarted())
    await until(lambda: world.messages)
    world.worker.set_serving()
    process.far.send(WorkerMetrics([]))  # its last message
    process.end(-11)
    await world.started(2)
    assert world.ends == ["was killed by signal 11 (SIGSEGV)"]
    assert world.messages == [WorkerStarted(), WorkerMetrics([])]
    assert world.restarts == 1
    assert world.states == ["starting", "serving", "waiting", "starting"]
    assert not world.worker.ready


async def test_a_process_that_cannot_be_started_is_tried_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    process = await world.started()
    world.cannot_start = 1
    with caplog.at_level(logging.ERROR):
        process.end(1)
        await world.started(2)
    assert world.ends == ["ended with code 1", "could not be started (Resource temporarily unavailable)"]
    assert (
        "could not be started (Resource temporarily unavailable), crash 2 in a row; restarting the worker in 0.5 s"
        in (caplog.text)
    )


@pytest.mark.parametrize("garbage", [True, False])
async def test_a_process_whose_messages_cannot_be_handled_is_started_anew(world: World, garbage: bool) -> None:
    """Be it that they are garbage, or that handling one raises."""
    process = await world.started()
    world.breaks_on = None if garbage else WorkerStarted
    process.far.send(WorkerStarted())
    if garbage:
        process.far._writer.write(b"\x00\x00\x00\x02{}")
    await world.started(2)
    assert world.ends == ["was killed by signal 9 (SIGKILL)"]


async def test_a_process_that_closes_its_channel_and_stays_is_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.http.workers.worker_process._END_TIMEOUT", 0.01)
    process = await world.started()
    await process.far.close()
    await world.started(2)
    assert world.ends == ["was killed by signal 9 (SIGKILL)"]


async def test_stopping_drains_and_starts_no_other(world: World) -> None:
    process = await world.started()
    process.far.send(WorkerStarted())
    await until(lambda: world.messages)
    world.worker.set_serving()
    world.worker.stop(2.5)
    assert await process.far.receive() == Drain(2.5)
    process.end(0)
    await asyncio.wait_for(world.keeping, 30)
    assert (len(world.processes), world.restarts) == (1, 0)


async def test_stopping_a_process_that_has_not_begun_ends_it(world: World) -> None:
    await world.started()
    world.worker.stop(2.5)
    await asyncio.wait_for(world.keeping, 30)
    assert world.ends == ["was killed by signal 9 (SIGKILL)"]


async def test_stopping_does_not_wait_for_a_process_that_still_loads_what_the_others_serve(world: World) -> None:
    process = await world.started()
    process.far.send(WorkerStarted())  # ready for commands; it takes no requests before it holds every version
    await until(lambda: world.messages)
    world.worker.stop(2.5)
    await asyncio.wait_for(world.keeping, 30)
    assert world.ends == ["was killed by signal 9 (SIGKILL)"]
    assert (len(world.processes), world.restarts) == (1, 0)


async def test_stopping_does_not_wait_for_a_restart(world: World) -> None:
    for count in (1, 2):
        (await world.started(count)).end(1)
    await until(lambda: world.states.count("waiting") == 2)  # for half a second
    world.worker.stop(0)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(world.keeping), 0.3)
    assert world.keeping.done()
    await settle()
    assert world.restarts == 1


async def test_a_process_that_sends_no_heartbeat_is_killed(world: World) -> None:
    process = await world.started()
    for _ in range(10):
        world.worker.check_heartbeat(2, 20)  # it is starting, and may take longer
    process.far.send(WorkerStarted())
    await until(lambda: world.messages)
    world.worker.check_heartbeat(2, 20)
    world.worker.check_heartbeat(2, 20)
    assert [await process.far.receive(), await process.far.receive()] == [Heartbeat(), Heartbeat()]
    process.far.send(Heartbeat())  # one answer is enough
    await until(lambda: len(world.messages) == 2)
    world.worker.check_heartbeat(2, 20)
    world.worker.check_heartbeat(2, 20)
    assert process.returncode is None
    world.worker.check_heartbeat(2, 20)
    assert process.returncode == -9


async def test_a_process_that_takes_its_time_to_die_is_killed_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second kill of `subprocess` takes the exit status away from whoever waits for it."""
    process = await world.started()
    kills: list[None] = []
    monkeypatch.setattr(process, "kill", lambda: kills.append(None))
    for _ in range(3):
        world.worker.missed = 9
        world.worker.check_heartbeat(1, 1)
        world.worker.kill()
    assert len(kills) == 1


async def test_a_process_that_hangs_before_its_first_message_is_killed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    process = await world.started()
    for _ in range(3):
        world.worker.check_heartbeat(1, 3)
    assert process.returncode is None
    world.worker.check_heartbeat(1, 3)
    assert process.returncode == -9
    assert "Worker 1 sends no heartbeat since its start; killing the worker." in caplog.messages
    process = await world.started(2)
    world.worker.check_heartbeat(1, 3)  # the next one begins anew
    assert process.returncode is None
