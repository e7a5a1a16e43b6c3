"""Large files over real connections, past the event loop: whole, in parts, cut off, slow, failing, in turn."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from uvicorn.server import ServerState

from hub.conftest import HubCalls
from penstock.http.connection import raw_transfer
from penstock.http.connection.protocol import connections_of
from penstock.http.events.request_event import CLIENT_LEFT
from penstock.hub.request_event import HubRequestEvent

FILES = "/api/2.0/mlflow-artifacts/artifacts"
CONTENT = os.urandom(1 << 16) * 80  # 5 MB: longer than what sockets hold


class Served(HubCalls):
    """A hub behind a real socket."""

    def __init__(self, hub: HubCalls, client: httpx.AsyncClient, port: int) -> None:
        super().__init__(client, hub.opened, hub.app)
        self.port = port

    async def connect(self, request: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which the lines of a head have been sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{request}\r\nHost: localhost\r\n\r\n".replace("\n\n", "\r\n").encode())
        return reader, writer


@pytest_asyncio.fixture
async def served(hub: HubCalls) -> AsyncIterator[Served]:
    config = uvicorn.Config(hub.app, lifespan="off", ws="none", log_config=None, access_log=False)
    config.load()
    make, state = connections_of(hub.app.shortcuts), ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: make(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://localhost:{port}", timeout=30) as client:
        yield Served(hub, client, port)
    server.close()
    await server.wait_closed()


def drafts(tmp_path: Path) -> list[Path]:
    return [file for file in (tmp_path / "artifacts").rglob("*") if file.is_file()]


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[list[int]]:
    """How often transfers went past the loop."""
    calls: list[int] = []
    original = getattr(raw_transfer, name)

    def wrapped(*arguments: Any) -> Any:
        calls.append(1)
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(raw_transfer, name, wrapped)
        yield calls


async def test_files_go_both_ways_one_after_another(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch, "_Turn") as taken, counted(monkeypatch, "_send_some") as sent:
        for number in range(3):
            assert (await served.client.put(f"{FILES}/f{number}", content=CONTENT)).status_code == 200
            assert (await served.client.get(f"{FILES}/f{number}")).content == CONTENT
            assert (await served.get("experiments/get", experiment_id="0")).status_code == 200
    assert (len(taken), len(sent) >= 3) == (3, True)
    part = await served.client.get(f"{FILES}/f0", headers={"Range": "bytes=7-3000006"})
    assert (part.status_code, part.content) == (206, CONTENT[7:3000007])
    assert (await served.client.head(f"{FILES}/f0")).headers["content-length"] == str(len(CONTENT))
    assert (await served.client.get(f"{FILES}/f0")).content == CONTENT


async def test_an_upload_that_is_cut_off_leaves_nothing(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    monkeypatch.setattr(served.app._requests, "_observe", lambda event: ended.set())
    _, writer = await served.connect(f"PUT {FILES}/half HTTP/1.1\r\nContent-Length: {len(CONTENT)}")
    writer.write(CONTENT[:-1])
    await writer.drain()
    writer.close()
    async with asyncio.timeout(10):
        await ended.wait()
    assert drafts(tmp_path) == []
    assert (await served.client.get(f"{FILES}/half")).status_code == 404


async def test_a_slow_client_is_waited_for_without_a_thread(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_transfer, "_LINGER_MS", 0)
    reader, writer = await served.connect(f"PUT {FILES}/slow HTTP/1.1\r\nContent-Length: {len(CONTENT)}")
    for start in range(0, len(CONTENT), 700_000):
        writer.write(CONTENT[start : start + 700_000])
        await writer.drain()
        assert (await served.get("experiments/get", experiment_id="0")).status_code == 200
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    assert (await served.client.get(f"{FILES}/slow")).content == CONTENT


async def test_a_client_that_takes_not_even_the_head_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that reads none of the answers before it."""
    assert (await served.client.put(f"{FILES}/f", content=CONTENT)).status_code == 200
    statuses: list[int] = []
    ended = asyncio.Event()

    def observe(event: HubRequestEvent) -> None:
        statuses.append(event.status)
        ended.set()

    monkeypatch.setattr(served.app._requests, "_observe", observe)
    monkeypatch.setattr(raw_transfer, "PATIENCE", 0.05)
    monkeypatch.setattr("asyncio.selector_events._SelectorSocketTransport.get_write_buffer_size", lambda _: 1)
    _, writer = await served.connect(f"GET {FILES}/f HTTP/1.1")
    async with asyncio.timeout(10):
        await ended.wait()
    writer.close()
    assert statuses == [CLIENT_LEFT]


def test_the_last_bytes_are_waited_for_alone(tmp_path: Path) -> None:
    """A turn may end with part of what was worth waking up for: the rest is less than that, and still all there is."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as ours,
        (tmp_path / "file").open("wb") as file,
    ):
        ours.setblocking(False)
        client.sendall(bytes(70_000))
        left = 100_000 - raw_transfer._Turn(ours, file).take(100_000)
        client.sendall(bytes(30_000))
        poll = select.poll()
        poll.register(ours, select.POLLIN)
        assert left
        assert poll.poll(5000)


async def test_a_client_that_sends_nothing_is_given_up(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    monkeypatch.setattr(served.app._requests, "_observe", lambda event: ended.set())
    monkeypatch.setattr(raw_transfer, "PATIENCE", 0.05)
    reader, writer = await served.connect(f"PUT {FILES}/half HTTP/1.1\r\nContent-Length: {len(CONTENT)}")
    writer.write(CONTENT[:2_000_000])
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    async with asyncio.timeout(10):
        await ended.wait()
    assert drafts(tmp_path) == []


async def test_a_client_that_reads_nothing_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await served.client.put(f"{FILES}/f", content=CONTENT * 4)
    monkeypatch.setattr(raw_transfer, "PATIENCE", 0.05)
    reader, writer = await served.connect(f"GET {FILES}/f HTTP/1.1")
    await reader.readline()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(0.2)
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    with suppress(ConnectionError):
        assert len(await reader.read()) < len(CONTENT) * 4
    writer.close()


async def test_a_full_disk_is_told_after_the_body(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = raw_transfer._Turn.write, [0]

    def failing(self: Any, content: Any) -> None:
        written[0] += len(content)
        if written[0] > 2_000_000 and self.failure is None:
            self.failure = OSError(errno.ENOSPC, "No space left on device")
        write(self, content)

    monkeypatch.setattr(raw_transfer._Turn, "write", failing)
    refused = await served.client.put(f"{FILES}/f", content=CONTENT)
    assert (refused.status_code, "No space left" in refused.text) == (507, True)
    assert drafts(tmp_path) == []
    monkeypatch.undo()
    assert (await served.client.put(f"{FILES}/f", content=CONTENT)).status_code == 200


async def test_requests_sent_ahead_are_answered_in_order(served: Served) -> None:
    await served.client.put(f"{FILES}/f", content=CONTENT)
    reader, writer = await served.connect(f"GET {FILES}/f HTTP/1.1")
    writer.write(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: %d" % len(CONTENT) in head.lower()
    assert await reader.readexactly(len(CONTENT)) == CONTENT
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
