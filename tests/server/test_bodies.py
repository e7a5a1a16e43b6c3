"""Request bodies of any size and framing, and callers that leave."""

from __future__ import annotations

import json
import logging

import httpx
import pytest

from server.asgi import Bench, Exchange, Held, is_error
from serving.fakes import settle, until, values_of

ROWS = {"inputs": [[1, 2, 3]]}
BODY = json.dumps(ROWS).encode()
LIMIT = 5000


class TestBodies:
    async def test_a_body_over_the_limit_is_a_413(self, client: httpx.AsyncClient) -> None:
        fits = BODY + b" " * (LIMIT - len(BODY))
        assert (await client.post("/invocations", content=fits)).status_code == 200
        too_large = await client.post("/invocations", content=fits + b" ")
        assert "5,000 bytes" in is_error(too_large, 413, "BAD_REQUEST")
        assert too_large.headers["connection"] == "close"

    async def test_chunks_over_the_limit_are_a_413(self, bench: Bench, client: httpx.AsyncClient) -> None:
        for extra, status in ((0, 200), (1, 413)):
            exchange = Exchange(bench.app)
            whole = BODY + b" " * (LIMIT - len(BODY) + extra)
            for start in range(0, len(whole), 7):
                exchange.body(whole[start : start + 7], more=True)
            exchange.body(b"")
            assert await exchange.status() == status

    async def test_a_length_that_lies_is_not_believed(self, bench: Bench, client: httpx.AsyncClient) -> None:
        exchange = Exchange(bench.app, headers={"content-length": "10"})
        for _ in range(3):
            exchange.body(b" " * LIMIT, more=True)
        exchange.body(b"")
        assert await exchange.status() == 413

    async def test_a_declared_giant_is_refused_unread(self, bench: Bench, client: httpx.AsyncClient) -> None:
        exchange = Exchange(bench.app, headers={"content-length": str(10**12)})
        assert await exchange.status() == 413
        assert exchange.received == 0

    async def test_a_giant_that_waits_to_be_asked_is_refused_unread(
        self, bench: Bench, client: httpx.AsyncClient
    ) -> None:
        exchange = Exchange(bench.app, headers={"content-length": str(LIMIT + 1), "expect": "100-continue"})
        assert await exchange.status() == 413
        assert exchange.received == 0

    async def test_what_is_too_large_is_read_to_its_end_within_reason(
        self, bench: Bench, client: httpx.AsyncClient
    ) -> None:
        exchange = Exchange(bench.app, headers={"content-length": str(LIMIT * 3)})
        for _ in range(2):
            exchange.body(b" " * LIMIT, more=True)
        await settle()
        assert not exchange.sent  # a client that is still sending would not see it
        exchange.body(b" " * LIMIT)
        assert await exchange.status() == 413
        endless = Exchange(bench.app)
        for _ in range(50):
            endless.body(b" " * LIMIT, more=True)
        assert await endless.status() == 413
        assert endless.received <= 8

    async def test_no_version_is_held_while_a_body_comes(self, bench: Bench, client: httpx.AsyncClient) -> None:
        exchange = Exchange(bench.app)
        exchange.body(BODY[:3], more=True)
        await settle()
        assert ", 0 leases" in repr(bench.gateway.find(None))
        exchange.body(BODY[3:])
        assert await exchange.status() == 200


class TestDepartures:
    async def test_a_client_that_leaves_within_its_body_is_counted_without_an_answer(
        self, bench: Bench, client: httpx.AsyncClient
    ) -> None:
        for first in (True, False):
            exchange = Exchange(bench.app)
            if not first:
                exchange.body(b"{", more=True)
            exchange.leave()
            assert await exchange.status() is None
        assert bench.count("client_error", model="", version="") == 2

    async def test_a_client_that_leaves_the_queue_drops_its_job(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.serve("m", held := Held())
        bench.open()
        working, gone, waiting = (Exchange(bench.app) for _ in range(3))
        working.body(BODY)
        await until(lambda: held.calls)
        gone.body(json.dumps({"inputs": [[7, 7, 7]]}).encode())
        waiting.body(json.dumps({"inputs": [[8, 8, 8]]}).encode())
        await until(lambda: bench.gateway.find(None)._batcher._lanes.rows == 2)
        gone.leave()
        assert await gone.status() is None
        assert bench.count("client_error") == 1
        assert ", 2 leases" in repr(bench.gateway.find(None))
        held.free.set()
        assert (await working.status(), await waiting.status()) == (200, 200)
        assert [values_of(c) for c in held.calls] == [[1], [8]]
        assert bench.count("ok") == 2
        assert [record for record in caplog.records if record.levelno > logging.INFO] == []

    async def test_a_client_that_leaves_after_its_body_harms_nothing(
        self, bench: Bench, client: httpx.AsyncClient
    ) -> None:
        exchange = Exchange(bench.app)
        exchange.body(BODY)
        exchange.leave()
        assert await exchange.status() == 200
