"""Clients that offer another protocol, as Java's and `curl --http2` do: they are answered as if they had not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.http.connection.protocol import MAX_AHEAD
from penstock.server.connection.fast_path import MAX_FAST_BYTES, FastCycle
from server.asgi import Bench
from server.conftest import Launch
from serving.fakes import settle, until
from support.wire import Talk, answers, connect, request

BODY = json.dumps({"inputs": [[1, 2, 3]]}).encode()
LARGE = json.dumps({"inputs": [[1, 2, 3]] * 10_000}).encode()
H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA")
WEBSOCKET = ("connection: keep-alive, upgrade", "Upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==")
OFFERS = [H2C, WEBSOCKET]


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    made = opened(identity_onnx_package)
    yield made
    await made.close()


def opened(package: Path) -> Bench:
    made = Bench(package, max_body_bytes=16 * MAX_FAST_BYTES)
    made.serve("m")
    made.open()
    return made


def chunked(body: bytes, *headers: str, path: str = "/invocations") -> bytes:
    lines = "\r\n".join([f"POST {path} HTTP/1.1", "host: test", "transfer-encoding: chunked", *headers]).encode()
    half = len(body) // 2
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:half], body[half:]) if piece)
    return lines + b"\r\n\r\n" + pieces + b"0\r\n\r\n"


async def answered(app: Any, sent: bytes, count: int, cuts: list[int]) -> list[Any]:
    """The answers on a connection of its own to so many requests, sent in these pieces."""
    protocol, wire = connect(app)
    for cut in cuts:
        protocol.data_received(sent[:cut])
        sent = sent[cut:]
        await asyncio.sleep(0)
        if not sent:
            break
    if sent:
        protocol.data_received(sent)
    await until(lambda: wire.closed or len(answers(wire.written)) >= count)
    await settle()
    protocol.connection_lost(None)
    return answers(wire.written)


@pytest.mark.parametrize("offer", OFFERS, ids=["h2c", "websocket"])
@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("framed", [request, chunked])
async def test_the_body_of_a_request_that_offers_an_upgrade_is_read(
    bench: Bench, offer: tuple[str, ...], body: bytes, framed: Any
) -> None:
    for cuts in ([], [len(framed(body, *offer)) - len(body)], [20], [1] * 300):
        sent = framed(body, *offer) + request(BODY)
        first, second = await answered(bench.app, sent, 2, cuts)
        assert [first[0], second[0]] == ["HTTP/1.1 200 OK"] * 2
        assert json.loads(first[2])["predictions"] == json.loads(body)["inputs"]
        assert "connection" not in first[1]


async def test_a_small_request_with_an_offer_takes_the_fast_path(bench: Bench) -> None:
    protocol, _ = connect(bench.app)
    protocol.data_received(request(BODY, *H2C))
    assert isinstance(protocol.cycle, FastCycle)
    await until(lambda: protocol.cycle.response_complete)
    protocol.connection_lost(None)


_ASKED = st.tuples(
    st.sampled_from([BODY, LARGE, b"", b"{"]), st.sampled_from([(), *OFFERS]), st.sampled_from([request, chunked]),
    st.sampled_from(["/invocations", "/ping", "/nothing"]),
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(_ASKED, min_size=1, max_size=4), st.lists(st.integers(1, 400), max_size=6))
def test_an_offer_changes_no_answer(identity_onnx_package: Path, asked: list[Any], cuts: list[int]) -> None:
    async def compare() -> None:
        bench = opened(identity_onnx_package)
        with_offers = b"".join(framed(body, *offer, path=path) for body, offer, framed, path in asked)
        without = b"".join(framed(body, path=path) for body, _, framed, path in asked)
        expected = await answered(bench.app, without, len(asked), [])
        assert len(expected) == len(asked)
        assert await answered(bench.app, with_offers, len(asked), cuts) == expected
        assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"
        await bench.close()

    asyncio.run(compare())


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_offer_in_the_last_request_still_closes_the_connection(bench: Bench, version: str) -> None:
    sent = request(BODY, "connection: close, upgrade", "upgrade: h2c").replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    ((status, headers, body),) = await answered(bench.app, sent, 1, [])
    assert (status, headers["connection"]) == ("HTTP/1.1 200 OK", "close")
    assert json.loads(body) == {"predictions": [[1.0, 2.0, 3.0]]}


async def test_an_offer_that_expects_100_continue_is_asked_for_its_body(bench: Bench) -> None:
    protocol, wire = connect(bench.app)
    whole = request(BODY, *H2C, "expect: 100-continue")
    protocol.data_received(whole[: -len(BODY)])
    await until(lambda: b" 100 Continue" in wire.written)
    protocol.data_received(BODY)
    await until(lambda: b" 200 OK" in wire.written)
    protocol.connection_lost(None)


async def test_a_flood_of_offers_ends_the_connection() -> None:
    talk = Talk()
    talk.protocol.data_received(request(b"", *H2C) * 5000)
    assert len(talk.protocol.pipeline) <= MAX_AHEAD + 1
    talk.answer.set()
    await until(lambda: talk.wire.closed)


@pytest.mark.parametrize("more", [b"", BODY, request(BODY)])
async def test_a_tunnel_is_refused(bench: Bench, more: bytes) -> None:
    protocol, wire = connect(bench.app)
    protocol.data_received(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n" + more)
    ((status, headers, body),) = answers(wire.written)
    assert (status, headers["connection"]) == ("HTTP/1.1 501 Not Implemented", "close")
    assert b"no tunnels" in body
    assert wire.closed
    protocol.connection_lost(None)


def test_a_real_server_answers_offers_and_refuses_tunnels(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package).wait_ready()
    with socket.create_connection(server.address, timeout=10) as client:
        for framed in (request, chunked):
            client.sendall(framed(BODY, *H2C))
            got = b""
            while b"predictions" not in got and (part := client.recv(65536)):
                got += part
            assert got.startswith(b"HTTP/1.1 200 OK")
    with socket.create_connection(server.address, timeout=10) as client:
        client.sendall(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n")
        assert b"".join(iter(lambda: client.recv(65536), b"")).startswith(b"HTTP/1.1 501 ")
    assert "Traceback" not in server.stderr
