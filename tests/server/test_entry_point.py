"""Who is refused at the entry: strangers are asked for a token, and known callers told that theirs does not do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.access.credentials import digest_of
from penstock.access.principal import Principal
from penstock.access.tokens import KnownTokens
from server.asgi import Bench, is_error
from serving.fakes import until
from support.wire import answers, connect, request

BODY = b'{"inputs": [[1, 2, 3]]}'
TOKENS = KnownTokens(
    {
        digest_of("of-m"): Principal("caller", frozenset({"predict"}), frozenset({"m"})),
        digest_of("of-metrics"): Principal("reader", frozenset({"metrics"})),
    }
)


@pytest.fixture
async def bench(identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(KnownTokens, "static", lambda token: TOKENS)
    made = Bench(identity_onnx_package)
    made.serve("m")
    yield made
    await made.close()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/metrics", "/models", "/nothing", "/models/m/invocations"])
@pytest.mark.parametrize("headers", [{}, bearer("other")], ids=["without a token", "with a wrong one"])
async def test_a_stranger_is_asked_for_a_token(bench: Bench, path: str, headers: dict[str, str]) -> None:
    async with bench.open() as client:
        answer = await client.post(path, content=BODY, headers=headers)
        is_error(answer, 401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("token", "method", "path"),
    [
        ("of-m", "GET", "/metrics"),
        ("of-m", "GET", "/models"),
        ("of-m", "POST", "/invocations"),
        ("of-m", "POST", "/models/other/invocations"),
        ("of-metrics", "POST", "/models/m/invocations"),
        ("of-metrics", "GET", "/models"),
    ],
)
async def test_a_known_caller_is_told_that_it_may_not(bench: Bench, token: str, method: str, path: str) -> None:
    async with bench.open() as client:
        answer = await client.request(method, path, content=BODY, headers=bearer(token))
        is_error(answer, 403, "PERMISSION_DENIED")
        assert "www-authenticate" not in answer.headers, "another try with the same token would not help"
        assert answer.headers["connection"] == "close"


async def test_what_a_caller_may_do_is_answered(bench: Bench) -> None:
    async with bench.open() as client:
        assert (await client.get("/metrics", headers=bearer("of-metrics"))).status_code == 200
        assert (await client.get("/nothing", headers=bearer("of-metrics"))).status_code == 404
        answer = await client.post("/models/m/invocations", content=BODY, headers=bearer("of-m"))
        assert answer.status_code == 200


async def test_a_prediction_that_may_not_be_asked_is_told_so_on_a_connection_too(bench: Bench) -> None:
    bench.open()
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY, "authorization: Bearer of-metrics"))
    await until(lambda: wire.closed)
    ((status, headers, _),) = answers(wire.written)
    assert status == "HTTP/1.1 403 Forbidden"
    assert headers["connection"] == "close"
