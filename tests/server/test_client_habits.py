"""What clients send, byte for byte, over a real socket: on the fast path and on the slow path.

Recorded, with another Host: curl 7.88, requests 2.34, httpx 0.28, urllib3 2.8, aiohttp 3.14, Node 20's fetch and http,
and Java 17's HttpClient. Written by hand, as these clients are known to speak: Go, .NET, Java's chunks,
Apache Bench, wrk, Envoy, and the probes of Kubernetes, AWS and GCP.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.http.connection.interface import Shortcuts
from penstock.http.connection.protocol import BoundedProtocol, ServerLines
from server.asgi import Bench, Held
from server.test_both_paths import SlowPathOnly
from serving.fakes import until

BODY = b'{"inputs": [[1, 2, 3]]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
H2C = b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n"
EXPECT = b"Expect: 100-continue\r\n"
GZIP = b"Accept-Encoding: gzip\r\n"
POST = b"POST /invocations HTTP/1.1\r\n"
HOST = b"Host: model:8080\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def post(*lines: bytes, body: bytes = BODY) -> bytes:
    return POST + b"".join(lines) + b"\r\n" + body


# Client -> (what it sends, the statuses of its answers).
CLIENTS: dict[str, tuple[bytes, list[int]]] = {
    "Java HttpClient": (
        post(
            b"Connection: Upgrade, HTTP2-Settings\r\n", LENGTH, HOST, H2C,
            b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n", JSON,
        ),
        [200],
    ),
    "Java HttpClient, chunked": (
        post(
            b"Connection: Upgrade, HTTP2-Settings\r\n", HOST, H2C,
            b"Transfer-encoding: chunked\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n", JSON,
            body=CHUNKS,
        ),
        [200],
    ),
    "Go net/http": (post(HOST, b"User-Agent: Go-http-client/1.1\r\n", LENGTH, JSON, GZIP), [200]),
    "Go net/http, chunked": (
        post(HOST, b"User-Agent: Go-http-client/1.1\r\n", CHUNKED, JSON, GZIP, body=CHUNKS),
        [200],
    ),
    ".NET HttpClient": (
        post(HOST, b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n",
             b"Content-Type: application/json; charset=utf-8\r\n", LENGTH),
        [200],
    ),
    ".NET HttpClient, Expect": (
        post(HOST, b"Expect: 100-continue\r\nContent-Type: application/json; charset=utf-8\r\n", LENGTH), [100, 200],
    ),
    ".NET HttpClient, chunked": (
        post(HOST, CHUNKED, b"Content-Type: application/json; charset=utf-8\r\n", body=CHUNKS), [200],
    ),
    "Node fetch": (
        post(b"host: model:8080\r\nconnection: keep-alive\r\ncontent-type: application/json\r\naccept: */*\r\n",
             b"accept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n",
             b"content-length: %d\r\n" % len(BODY)),
        [200],
    ),
    "Node http.Agent": (post(JSON, HOST, b"Connection: keep-alive\r\n", CHUNKED, body=CHUNKS), [200]),
    "curl": (post(HOST, b"User-Agent: curl/7.88.1\r\nAccept: */*\r\n", JSON, LENGTH), [200]),
    "curl --http2": (
        post(HOST, b"User-Agent: curl/7.88.1\r\nAccept: */*\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
             b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n", JSON, LENGTH),
        [200],
    ),
    "curl, Expect": (
        post(HOST, b"User-Agent: curl/7.88.1\r\nAccept: */*\r\n", JSON, EXPECT, LENGTH), [100, 200],
    ),
    "curl --http1.0": (
        b"POST /invocations HTTP/1.0\r\n" + HOST + b"User-Agent: curl/7.88.1\r\nAccept: */*\r\n" + JSON + LENGTH
        + b"\r\n" + BODY,
        [200],
    ),
    "curl -T -": (
        post(HOST, b"User-Agent: curl/7.88.1\r\nAccept: */*\r\n", CHUNKED, JSON, EXPECT, body=CHUNKS),
        [100, 200],
    ),
    "requests": (
        post(HOST, b"User-Agent: python-requests/2.34.2\r\nAccept-Encoding: gzip, deflate, br\r\nAccept: */*\r\n",
             b"Connection: keep-alive\r\n", JSON, LENGTH),
        [200],
    ),
    "urllib3, a generator": (
        post(HOST, b"Accept-Encoding: identity\r\n", CHUNKED, b"User-Agent: python-urllib3/2.8.0\r\n", JSON,
             body=CHUNKS),
        [200],
    ),
    "httpx": (
        post(HOST, b"Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n",
             b"User-Agent: python-httpx/0.28.1\r\n", JSON, LENGTH),
        [200],
    ),
    "requests, a generator": (
        post(HOST, b"User-Agent: python-requests/2.34.2\r\nAccept-Encoding: gzip, deflate, br\r\nAccept: */*\r\n",
             b"Connection: keep-alive\r\n", JSON, CHUNKED, body=CHUNKS),
        [200],
    ),
    "aiohttp": (
        post(HOST, JSON, b"Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n",
             b"User-Agent: Python/3.11 aiohttp/3.14.5\r\n", LENGTH),
        [200],
    ),
    "Apache Bench": (
        b"POST /invocations HTTP/1.0\r\nContent-length: %d\r\nContent-type: application/json\r\n" % len(BODY) + HOST
        + b"User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n" + BODY,
        [200],
    ),
    "Apache Bench -k": (
        b"POST /invocations HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-length: %d\r\n" % len(BODY)
        + b"Content-type: application/json\r\n" + HOST + b"User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n" + BODY,
        [200],
    ),
    "wrk": (post(HOST, LENGTH, JSON), [200]),
    "Kubernetes probe": (
        b"GET /ping HTTP/1.1\r\nHost: 10.1.0.7:8080\r\nUser-Agent: kube-probe/1.30\r\nAccept: */*\r\n"
        b"Connection: close\r\n\r\n",
        [200],
    ),
    "AWS ALB health check": (
        b"GET /ping HTTP/1.1\r\nHost: 10.1.0.7:8080\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n"
        b"Accept-Encoding: gzip, compressed\r\n\r\n",
        [200],
    ),
    "GCP health check": (
        b"GET /ping HTTP/1.1\r\nHost: 10.1.0.7\r\nUser-Agent: GoogleHC/1.0\r\nConnection: Keep-alive\r\n\r\n", [200],
    ),
    "Envoy": (
        post(b"host: model:8080\r\nuser-agent: curl/7.88.1\r\naccept: */*\r\ncontent-type: application/json\r\n",
             b"content-length: %d\r\nx-forwarded-proto: http\r\n" % len(BODY),
             b"x-request-id: 8ad1c4b8-1f0b-4d22-9d2a-1d1f1b1b4f0e\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n"),
        [200],
    ),
}  # fmt: skip

# What RFC 9112 and RFC 9110 say of a request -> (the request, the statuses of its answers).
RULES: dict[str, tuple[bytes, list[int]]] = {
    "no Host": (post(LENGTH), [400]),
    "two Hosts": (post(HOST, HOST, LENGTH), [400]),
    "an empty Host": (post(b"Host:\r\n", LENGTH), [200]),
    "no Host in HTTP/1.0": (b"POST /invocations HTTP/1.0\r\n" + LENGTH + b"\r\n" + BODY, [200]),
    "two lengths": (post(HOST, LENGTH, LENGTH), [400]),
    "a length and chunks": (post(HOST, LENGTH, CHUNKED, body=CHUNKS), [400]),
    "chunks and a length": (post(HOST, CHUNKED, LENGTH, body=CHUNKS), [400]),
    "a coding that nobody reads": (post(HOST, b"Transfer-Encoding: gzip, chunked\r\n", body=CHUNKS), [501]),
    "chunks that are not last": (post(HOST, b"Transfer-Encoding: chunked, gzip\r\n", body=CHUNKS), [400]),
    "chunks in HTTP/1.0": (b"POST /invocations HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n" + CHUNKS, [400]),
    "chunks in capitals": (post(HOST, b"TRANSFER-ENCODING: Chunked\r\n", body=CHUNKS), [200]),
    "TE": (post(HOST, b"TE: trailers\r\nConnection: TE\r\n", LENGTH), [200]),
    "chunk extensions and trailers": (
        post(HOST, CHUNKED, body=b'%x;a=b;c="d"\r\n%b\r\n0;e\r\nX-Sum: 1\r\n\r\n' % (len(BODY), BODY)), [200],
    ),
    "a folded header": (post(HOST, b"X-Long: a\r\n b\r\n", LENGTH), [400]),
    "a space before the colon": (post(b"Host : model\r\n", LENGTH), [400]),
    "bare line feeds": (post(HOST, LENGTH).replace(b"\r\n", b"\n"), [400]),
    "an absolute target": (b"POST http://model:8080/invocations HTTP/1.1\r\n" + HOST + LENGTH + b"\r\n" + BODY, [200]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", [404]),
    "HEAD": (b"HEAD /ping HTTP/1.1\r\n" + HOST + b"\r\n", [200]),
    "an expectation": (post(HOST, b"Expect: 100-Continue\r\n", LENGTH), [100, 200]),
    "an expectation that nobody meets": (post(HOST, b"Expect: tea\r\n", LENGTH), [417]),
    "empty lines first": (b"\r\n\r\n" + post(HOST, LENGTH), [200]),
    "a method in small letters": (post(HOST, LENGTH).replace(b"POST", b"post", 1), [400]),
    "a header without an end": (post(HOST, b"X-Long: " + b"x" * 70_000 + b"\r\n", LENGTH), [431]),
    "requests sent ahead": (post(HOST, LENGTH) * 3, [200, 200, 200]),
    "HTTP/2 from the start": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
}  # fmt: skip


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[tuple[str, int]]:
    """The application on a port of its own."""
    shortcuts = Shortcuts() if isinstance(app, SlowPathOnly) else app.shortcuts
    config = Config(app, http=BoundedProtocol, ws="none", interface="asgi3", proxy_headers=False, log_config=None)
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    lines = ServerLines()
    server = await loop.create_server(
        lambda: BoundedProtocol(config, state, {}, loop, shortcuts=shortcuts, lines=lines), "127.0.0.1", 0
    )
    yield server.sockets[0].getsockname()
    server.close()
    for connection in list(state.connections):
        connection.transport.abort()


async def read_answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> tuple[int, bytes]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    content = b"" if bodiless or not length else await reader.readexactly(int(length))
    return int(head.split()[1]), content


@pytest.fixture(params=["fast", "slow"])
async def bench(request: pytest.FixtureRequest, identity_onnx_package: Path) -> AsyncIterator[tuple[Bench, Any]]:
    made = Bench(identity_onnx_package)
    made.serve("m")
    made.open()
    yield made, SlowPathOnly(made.app) if request.param == "slow" else made.app
    await made.close()


@pytest.mark.parametrize("name", [*CLIENTS, *RULES])
@pytest.mark.parametrize("cut", [None, 1, 60], ids=["whole", "byte by byte", "in pieces"])
async def test_it_is_answered(bench: tuple[Bench, Any], name: str, cut: int | None) -> None:
    sent, statuses = {**CLIENTS, **RULES}[name]
    if max(statuses) > 200:
        cut = None  # what is refused at its head is not read further, and what comes after that is reset
    async with listening(bench[1]) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), cut or len(sent)):
            writer.write(sent[start : start + (cut or len(sent))])
            await asyncio.sleep(0)
        for status in statuses:
            found, content = await read_answer(reader, bodiless=sent.startswith(b"HEAD"))
            assert found == status
            if found == 200 and b"/invocations" in sent:
                assert json.loads(content) == {"predictions": [[1, 2, 3]]}
        writer.close()


@pytest.mark.parametrize("framed", [post(HOST, LENGTH), post(HOST, CHUNKED, body=CHUNKS), post(HOST, LENGTH) * 2])
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "while the model works"])
async def test_a_client_that_shuts_its_sending_side_is_answered(
    bench: tuple[Bench, Any], framed: bytes, waits: bool
) -> None:
    made, app = bench
    model = Held()
    made.serve("m", model)
    if not waits:
        model.free.set()
    async with listening(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(framed)
        writer.write_eof()
        if waits:
            await until(lambda: bool(model.calls))
            model.free.set()
        for _ in range(framed.count(b"POST")):
            assert (await read_answer(reader))[0] == 200
        assert await reader.read() == b""
        writer.close()
    model.free.set()


async def test_a_client_that_stays_away_takes_its_job_along(
    bench: tuple[Bench, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.http.connection.protocol.HALF_CLOSED_SECONDS", 0.05)
    made, app = bench
    model = Held()
    made.serve("m", model)
    async with listening(app) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(post(HOST, LENGTH))
        await until(lambda: bool(model.calls))
        writer.close()
        await until(lambda: made.count("client_error") == 1)
    model.free.set()
