"""The open loop has no coordinated omission: a server that stalls shows in every request that was due meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from generator import Run, content_length, measure, summary
from histogram import Histogram

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


class Answering:
    """A server that answers each request at once, but for a stall: from the request numbered `stall` on all wait until
    `stalled` seconds later. Every so manieth (`refuse_every`) is told 429 and its connection closed."""

    def __init__(self, stall: int = -1, stalled: float = 0.0, refuse_every: int = 0, silent: bool = False) -> None:
        self.stall, self.stalled, self.refuse_every, self.silent = stall, stalled, refuse_every, silent
        self.requests = self.opened = 0
        self.stalling = False
        self.waiting: list[asyncio.Transport] = []

    def on_request(self, transport: asyncio.Transport) -> None:
        self.requests += 1
        if self.requests == self.stall:
            self.stalling = True
            asyncio.get_running_loop().call_later(self.stalled, self.go_on)
        if self.stalling:
            self.waiting.append(transport)
        elif self.refuse_every and self.requests % self.refuse_every == 0:
            transport.write(REFUSAL)
            transport.close()
        elif not self.silent:
            transport.write(ANSWER)

    def go_on(self) -> None:
        self.stalling = False
        for transport in self.waiting:
            transport.write(ANSWER)


class OneClient(asyncio.Protocol):
    def __init__(self, server: Answering) -> None:
        self.server = server
        server.opened += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert data == REQUEST  # one at a time on each connection
        self.server.on_request(self.transport)


async def run_against(server: Answering, connections: int, seconds: float, rate: float | None) -> Run:
    listening = await asyncio.get_running_loop().create_server(lambda: OneClient(server), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        return await measure("127.0.0.1", port, REQUEST, connections, seconds, rate, warm_up=0.0)
    finally:
        listening.close()


async def test_a_stall_counts_for_all_that_were_due_meanwhile() -> None:
    """One connection, 200 requests a second, a stall of 0.3 s: about 60 requests were due in it and waited on average
    half of it. A generator that waits for the answer before its next request would have seen one slow request."""
    run = await run_against(Answering(stall=20, stalled=0.3), 1, 0.8, rate=200)
    waited = [seconds for seconds in run.tally.latencies if seconds > 0.05]
    assert 45 <= len(waited) <= 80
    assert Histogram(run.tally.latencies).percentile(0.75) > 0.03
    assert sum(1 for seconds in run.tally.service if seconds > 0.05) <= 5
    assert run.most_waiting >= 45
    found = summary(run, 0.8, 0.0)
    assert found["late"] >= 45
    assert found["unanswered"] == 0


async def test_every_request_due_is_sent_on_no_more_connections_than_allowed() -> None:
    server = Answering()
    run = await run_against(server, 4, 0.5, rate=400)
    assert server.opened == 4
    # Half a second of 400 a second; a busy machine may sleep through the last of them.
    assert 150 <= server.requests <= 202
    assert len(run.tally.latencies) == pytest.approx(server.requests, abs=4)


async def test_what_is_never_answered_counts_with_the_time_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.GRACE", 0.1)
    run = await run_against(Answering(silent=True), 2, 0.2, rate=100)
    assert run.tally.unanswered == pytest.approx(20, abs=2)
    assert run.tally.statuses == {}
    assert min(run.tally.latencies) >= 0.09


async def test_a_connection_that_the_server_closes_is_opened_anew() -> None:
    server = Answering(refuse_every=10)
    run = await run_against(server, 2, 0.3, rate=None)
    assert run.tally.statuses[429] >= 3
    assert run.tally.statuses[200] >= 30
    assert server.opened >= 2 + run.tally.statuses[429]
    assert run.tally.errors == 0


def test_the_length_of_an_answer_must_be_said() -> None:
    assert content_length(b"http/1.1 200 ok\r\nx-content-length: 1\r\ncontent-length: 12\r\na: b\r\n") == 12
    with pytest.raises(ValueError, match="no Content-Length"):
        content_length(b"http/1.1 200 ok\r\ntransfer-encoding: chunked\r\n")
