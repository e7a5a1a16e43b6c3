"""The life of a server process, with a service that has no model: what any server of ours gets from it."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import httpx
import pytest

from penstock.errors import ConfigError
from penstock.http.connection.interface import Shortcuts
from penstock.http.errors import ErrorAnswer
from penstock.http.run import RunOptions, Server, bind, serve, url_of
from penstock.metrics import Metrics
from serving.fakes import until


class Library:
    """A service of books: its start waits until it is allowed to end. Notes what is asked of it."""

    def __init__(self) -> None:
        self.metrics = Metrics(process=False)
        self.draining = False
        self.waiting_for = ["books"]
        self.calls: list[str] = []
        self.opened = asyncio.Event()
        self.fails: Exception | None = None

    async def start(self) -> None:
        self.calls.append("start")
        if self.fails is not None:
            raise self.fails

    async def until_ready(self) -> None:
        await self.opened.wait()
        self.calls.append("ready")

    def drain(self) -> None:
        self.draining = True
        self.calls.append("drain")

    async def close(self) -> None:
        self.calls.append("close")


class Pages:
    """An application that answers 404 to everything."""

    shortcuts = Shortcuts()

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await ErrorAnswer(404, b"no such book").send(send)

    def close(self) -> None:
        self._calls.append("close pages")


@pytest.fixture
def bound() -> socket.socket:
    return bind("127.0.0.1", 0)


async def test_a_server_answers_while_it_starts_and_is_closed_after_its_last_answer(bound: socket.socket) -> None:
    library = Library()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(Pages(library.calls), library, bound, RunOptions(keep_alive=1), on_ready=ready.set_result)
    )
    async with httpx.AsyncClient(base_url=url_of(bound)) as client:
        assert (await client.get("/books/1")).text == "no such book"
        assert not ready.done()
        library.opened.set()
        assert await asyncio.wait_for(ready, 30) == url_of(bound)
        assert (await client.get("/books/1")).status_code == 404
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(serving, 30)
    assert library.calls == ["start", "ready", "drain", "close", "close pages"]
    assert bound.fileno() == -1


async def test_what_the_start_raises_closes_everything(bound: socket.socket) -> None:
    library = Library()
    library.fails = ConfigError("no books")
    with pytest.raises(ConfigError, match="no books"):
        await asyncio.wait_for(serve(Pages(library.calls), library, bound, RunOptions(), on_ready=lambda url: None), 30)
    assert library.calls == ["start", "close", "close pages"]
    assert bound.fileno() == -1


async def test_draining_begins_once() -> None:
    library = Library()
    server = Server(Pages(library.calls), library, RunOptions())
    server.drain(0)
    server.drain(0)
    assert library.calls == ["drain"]
    await until(lambda: server.should_exit)


def test_a_busy_port_is_refused_with_its_flag(bound: socket.socket) -> None:
    with pytest.raises(ConfigError, match="is not available") as caught:
        bind("127.0.0.1", bound.getsockname()[1], flag="--admin-port")
    assert "--admin-port" in str(caught.value.hint)
    bound.close()


async def test_small_answers_are_sent_at_once_on_every_loop(bound: socket.socket) -> None:
    """uvloop does it by itself; asyncio where the socket was made for TCP, else the second piece waits for 40 ms."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    async with await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), sock=bound):
        _, client = await asyncio.open_connection(*bound.getsockname()[:2])
        server_side = await accepted.get()
        assert server_side.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for writer in (client, server_side):
            writer.close()
            await writer.wait_closed()
