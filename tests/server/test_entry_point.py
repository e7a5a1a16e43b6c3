"""Who is refused at the entry: strangers are asked for a token, and known callers told that theirs does not do."""

from __future__ import annotations

from asyncio import iscoroutinefunction
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette._utils import is_async_callable

from penstock.access.credentials import digest_of
from penstock.access.principal import Principal
from penstock.access.tokens import KnownTokens
from penstock.http.authorizer import Authorizer
from penstock.http.events.request_event import RequestEvent
from penstock.metrics import ACCESS_REFUSALS
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
    ("token", "method", "path", "said"),
    [
        ("of-m", "GET", "/metrics", "The token 'caller' has the role predict, and this needs the role metrics."),
        ("of-m", "GET", "/models", "The token 'caller' is for the models m alone"),
        ("of-m", "POST", "/invocations", "The token 'caller' is for the models m alone"),
        ("of-m", "POST", "/models/other/invocations", "The token 'caller' is for the models m alone"),
        ("of-metrics", "POST", "/models/m/invocations", "has the role metrics, and this needs the role predict."),
        ("of-metrics", "GET", "/models", "has the role metrics, and this needs the role predict."),
    ],
)
async def test_a_known_caller_is_told_that_it_may_not(
    bench: Bench, token: str, method: str, path: str, said: str
) -> None:
    async with bench.open() as client:
        answer = await client.request(method, path, content=BODY, headers=bearer(token))
        is_error(answer, 403, "PERMISSION_DENIED")
        assert said in answer.json()["message"]
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


async def test_refusals_are_counted_by_their_reasons(bench: Bench) -> None:
    asked = [("", "/models"), ("guess", "/models"), ("guess", "/nothing"), ("of-metrics", "/models")]
    async with bench.open() as client:
        for token, path in asked:
            await client.get(path, headers=bearer(token) if token else {})
        await client.get("/models", headers=bearer("of-m"))
        await client.get("/livez")
        await client.get("/models?access_token=of-metrics&token=of-metrics")
    count = bench.metrics.registry.get_sample_value
    found = {r: count("penstock_access_refused_total", {"reason": r}) for r in ACCESS_REFUSALS}
    assert found == {"no_token": 2, "unknown_token": 2, "role": 1, "models": 1}


@pytest.mark.parametrize("small", [True, False], ids=["fast path", "slow path"])
async def test_a_revoked_token_lets_nobody_in_on_an_open_connection_either(
    identity_onnx_package: Path, small: bool
) -> None:
    access = Authorizer(TOKENS)
    bench = Bench(identity_onnx_package, access=access)
    bench.serve("m")
    bench.open()
    protocol, wire = connect(bench.app)
    path = "/models/m/invocations" if small else "/models/%6d/invocations"
    asked = request(BODY, "authorization: Bearer of-m", path=path)
    protocol.data_received(asked)
    await until(lambda: wire.written.endswith(b"}"))
    ((status, _, _),) = answers(wire.written)
    assert status == "HTTP/1.1 200 OK"
    assert not wire.closed
    access.admit(KnownTokens({}))
    wire.written = b""
    protocol.data_received(asked)
    await until(lambda: wire.closed)
    ((status, _, _),) = answers(wire.written)
    assert status == "HTTP/1.1 401 Unauthorized"
    await bench.close()


async def test_two_callers_in_one_head_are_none(bench: Bench) -> None:
    """A proxy may have judged the one, and the server the other."""
    bench.open()
    protocol, wire = connect(bench.app)
    both = ["authorization: Bearer of-m", "Authorization: Bearer of-metrics"]
    protocol.data_received(request(BODY, *both, path="/models/m/invocations"))
    await until(lambda: wire.closed)
    ((status, _, content),) = answers(wire.written)
    assert status == "HTTP/1.1 400 Bad Request"
    assert b"at most one Authorization header" in content


async def test_the_token_is_in_no_event_and_its_name_is(identity_onnx_package: Path) -> None:
    seen: list[RequestEvent] = []
    bench = Bench(identity_onnx_package, access=Authorizer(TOKENS), observe=seen.append)
    bench.serve("m")
    async with bench.open() as client:
        await client.post("/models/m/invocations", content=BODY, headers=bearer("of-m"))
    protocol, wire = connect(bench.app)
    protocol.data_received(request(BODY, "authorization: Bearer of-m", path="/models/m/invocations"))
    await until(lambda: wire.written)
    assert [event.fields()["caller"] for event in seen] == ["caller", "caller"]
    assert "of-m" not in repr(seen)
    await bench.close()


async def test_the_entry_is_known_for_asgi_3(bench: Bench) -> None:
    """It is no coroutine function, and whoever looks for one would call it as ASGI 2."""
    async with bench.open():
        assert is_async_callable(bench.app)
        assert iscoroutinefunction(bench.app.__call__)
