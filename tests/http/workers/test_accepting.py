"""Workers share a listening socket: fairly, without losing a connection, and without waiting for the dead."""

from __future__ import annotations

import asyncio
import errno
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from penstock.http.workers.accepting import Acceptor, ConnectionCounts
from serving.fakes import until


class Talk(asyncio.Protocol):
    """Says which acceptor's it is, and keeps its place among the connections, as uvicorn's protocol does."""

    def __init__(self, acceptor: Acceptor, number: int) -> None:
        self.acceptor, self.number = acceptor, number

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.acceptor.connections.add(self)
        transport.write(str(self.number).encode())

    def connection_lost(self, error: Exception | None) -> None:
        self.acceptor.connections.discard(self)


class World:
    """Several acceptors of one socket, as if each were a process."""

    def __init__(self, workers: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.listener.setblocking(False)
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        self.counts = ConnectionCounts.prepare(self.file.fileno(), workers)
        self.acceptors = [
            Acceptor([self.listener.dup()], n, ConnectionCounts(self.file.fileno())) for n in range(1, workers + 1)
        ]
        self.clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def start(self, *numbers: int) -> None:
        for number in numbers:
            acceptor = self.acceptors[number - 1]
            acceptor.start(partial(Talk, acceptor, number))

    async def connect(self) -> int:
        """Returns who answers."""
        client = await asyncio.open_connection(*self.listener.getsockname())
        self.clients.append(client)
        return int(await client[0].read(10))

    def open(self) -> list[int]:
        return [len(acceptor.connections) for acceptor in self.acceptors]

    async def close(self) -> None:
        for acceptor in self.acceptors:
            acceptor.close()
        for _, writer in self.clients:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in self.clients), return_exceptions=True)
        await until(lambda: not any(self.open()))
        self.listener.close()
        self.file.close()


@pytest.fixture
async def make() -> AsyncIterator[Callable[[int], World]]:
    made: list[World] = []

    def make(workers: int) -> World:
        made.append(World(workers))
        return made[-1]

    yield make
    for world in made:
        await world.close()


@pytest.mark.parametrize("workers", [2, 3])
async def test_kept_connections_are_shared_evenly(make: Callable[[int], World], workers: int) -> None:
    """Also where all come at once."""
    world = make(workers)
    world.start(*range(1, workers + 1))
    await asyncio.gather(*(world.connect() for _ in range(12 * workers)))
    assert max(world.open()) - min(world.open()) <= 2
    assert sum(world.open()) == 12 * workers
    assert [world.counts.of(n + 1) for n in range(workers)] == world.open()


async def test_new_connections_go_where_old_ones_left(make: Callable[[int], World]) -> None:
    world = make(2)
    world.start(1, 2)
    owners = [await world.connect() for _ in range(12)]
    for owner, (_, writer) in zip(owners, world.clients, strict=True):
        if owner == 1:
            writer.close()
    await until(lambda: world.open()[0] == 0)
    assert [await world.connect() for _ in range(4)].count(1) >= 3


async def test_a_waiting_connection_is_taken_by_another_worker(make: Callable[[int], World]) -> None:
    world = make(2)
    early = asyncio.create_task(world.connect())  # nobody accepts yet
    world.start(1)
    assert await early == 1
    world.acceptors[0].close()
    late = asyncio.create_task(world.connect())
    world.start(2)
    assert await late == 2


async def test_a_worker_that_hangs_costs_a_moment_and_no_more(make: Callable[[int], World]) -> None:
    """Worker 1 claims to have none, and never opens."""
    world = make(2)
    world.counts.set(1, 0)
    world.start(2)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    assert [await world.connect() for _ in range(5)] == [2] * 5
    assert loop.time() - begin < 2


async def test_dead_workers_are_not_waited_for(make: Callable[[int], World]) -> None:
    world = make(2)
    world.counts.set(1, 0)
    world.counts.set(1, -1)  # the supervisor saw its end
    assert world.counts.least() == 0
    world.start(2)
    await world.connect()
    assert world.counts.least() == 1


class Full:
    """A listening socket in a process that has no file descriptor free, so many times."""

    def __init__(self, real: socket.socket, times: int) -> None:
        self.real, self.times = real, times

    def fileno(self) -> int:
        return self.real.fileno()

    def accept(self) -> Any:
        if self.times:
            self.times -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self.real.accept()

    def close(self) -> None:
        self.real.close()


async def test_without_file_descriptors_clients_wait(
    make: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.http.workers.accepting._NO_FILE_DESCRIPTORS", 0.02)
    world = make(1)
    world.acceptors[0]._listeners = [Full(world.acceptors[0]._listeners[0], 3)]  # type: ignore[list-item]
    world.start(1)
    assert await world.connect() == 1
    assert world.acceptors[0]._listeners[0].times == 0  # type: ignore[attr-defined]


async def test_closing_twice_or_before_the_start_does_no_harm(make: Callable[[int], World]) -> None:
    world = make(1)
    world.acceptors[0].close()
    world.acceptors[0].close()
    assert world.counts.of(1) == -1
