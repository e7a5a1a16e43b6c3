"""Connections that do what no client should: endless heads, floods of requests, silence."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.http.connection.protocol import HEAD_SECONDS, MAX_AHEAD, MAX_HEAD_BYTES, REST_SECONDS, SWEEP_EVERY
from server.conftest import Launch
from server.wire import connect
from serving.fakes import settle

REQUEST = b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"


class Talk:
    """One connection to an application that answers when told, and reads a body only if asked to."""

    def __init__(self, *, keep_alive: int = 75) -> None:
        self.answer = asyncio.Event()
        self.started = 0
        self.protocol, self.wire = connect(self._app, keep_alive=keep_alive)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.started += 1
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def sweeps_until_closed(self, most: int = 100) -> int:
        for number in range(1, most + 1):
            self.protocol.sweep()
            if self.wire.closed:
                return number
        return 0


@pytest.mark.parametrize("start", [b"GET /" + b"x" * 1000, b"GET / HTTP/1.1\r\nX: " + b"y" * 100])
async def test_a_head_without_an_end(start: bytes) -> None:
    talk = Talk()
    talk.protocol.data_received(start)
    for _ in range(MAX_HEAD_BYTES // 1000 + 2):
        if talk.wire.closed:
            break
        talk.protocol.data_received(b"z" * 1000)
    assert talk.wire.closed
    assert talk.wire.written.startswith(b"HTTP/1.1 431 ")
    assert talk.started == 0


async def test_large_bodies_are_no_heads() -> None:
    talk = Talk()
    talk.answer.set()
    talk.protocol.data_received(b"POST /x HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"x" * 200_000)
    talk.protocol.data_received(b"x" * 100_000)
    talk.protocol.data_received(REQUEST)
    await settle()
    assert talk.wire.written.count(b"HTTP/1.1 200") == 2


async def test_some_requests_may_be_sent_ahead() -> None:
    talk = Talk()
    talk.protocol.data_received(REQUEST * (MAX_AHEAD + 1))
    talk.answer.set()
    await settle(1000)
    assert talk.wire.written.count(b"HTTP/1.1 200") == MAX_AHEAD + 1
    assert not talk.wire.closed


async def test_a_flood_of_them_ends_the_connection() -> None:
    talk = Talk()
    talk.protocol.data_received(REQUEST * 5000)
    assert talk.wire.closed
    assert len(talk.protocol.pipeline) <= MAX_AHEAD + 1
    talk.answer.set()
    await settle()
    assert talk.started == 1


class TestSilence:
    async def test_before_the_first_request(self) -> None:
        assert Talk(keep_alive=20).sweeps_until_closed() == 20 / SWEEP_EVERY + 1

    @pytest.mark.parametrize("before", [b"", REQUEST])
    async def test_within_a_head(self, before: bytes) -> None:
        talk = Talk()
        talk.answer.set()
        talk.protocol.data_received(before)
        await settle()
        talk.protocol.data_received(b"POST /x HTTP/1.1\r\nHo")
        assert talk.sweeps_until_closed() == HEAD_SECONDS / SWEEP_EVERY + 1

    async def test_within_the_rest_of_a_body_that_was_answered(self) -> None:
        talk = Talk()
        talk.answer.set()
        talk.protocol.data_received(REQUEST[:-2])
        await settle()
        talk.protocol.data_received(b"b")
        assert talk.sweeps_until_closed() == REST_SECONDS / SWEEP_EVERY + 1

    async def test_after_the_rest_of_it(self) -> None:
        """uvicorn's own timer is gone then."""
        talk = Talk(keep_alive=20)
        talk.answer.set()
        talk.protocol.data_received(REQUEST[:-2])
        await settle()
        talk.protocol.data_received(b"bc")
        assert talk.sweeps_until_closed() == 20 / SWEEP_EVERY + 1

    async def test_one_who_waits_for_an_answer_is_left_alone(self) -> None:
        talk = Talk()
        talk.protocol.data_received(REQUEST)
        await settle()
        assert talk.sweeps_until_closed() == 0
        talk.answer.set()
        await settle()
        assert talk.sweeps_until_closed() == 0, "uvicorn has a timer for this"
        talk.protocol.connection_lost(None)


def test_a_real_server_survives_it(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package).wait_ready()
    before = server.resident_bytes()
    with socket.create_connection(server.address, timeout=10) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nX: ")
        answer = b""
        try:
            for _ in range(2000):
                endless.sendall(b"y" * 10_000)
            answer = endless.recv(100)
        except OSError:
            pass  # it was cut off while it sent
        assert not answer or answer.startswith(b"HTTP/1.1 431")
    with socket.create_connection(server.address, timeout=10) as flood:
        try:
            for _ in range(50):
                flood.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        except OSError:
            pass
    assert httpx.post(f"{server.url}/invocations", json={"inputs": [[1, 2, 3]]}).status_code == 200
    assert server.resident_bytes() - before < 50e6
    assert "Traceback" not in server.stderr
