"""Writes that a connection answers itself: the same answers as through the application, and nothing else kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.conftest import HubCalls, hub_over, until
from penstock.errors import RegistryUnavailable
from penstock.http.connection.protocol import BoundedProtocol
from penstock.http.events.request_event import CLIENT_LEFT
from penstock.hub.access.gate import HubGate
from penstock.hub.fast_path import MAX_FAST_BYTES, WriteCycle
from penstock.hub.request_event import HubRequestEvent
from penstock.hub.requests import StoreWrite
from support.wire import Wire, answers, connect, request

JSON = "content-type: application/json"
LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"


class SlowPathOnly:
    """The same application without the fast path."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


def sent(body: bytes, *headers: str, path: str = LOG_METRIC) -> bytes:
    return request(body, *headers, path=path).replace(b"host: test", b"host: localhost", 1)


async def answered(wire: Wire, count: int = 1) -> list[Any]:
    await until(lambda: wire.closed or len(final(wire)) >= count)
    return final(wire)


def final(wire: Wire) -> list[Any]:
    return [answer for answer in answers(wire.written) if "100 Continue" not in answer[0]]


def taken(protocol: Any) -> bool:
    return isinstance(protocol.cycle, WriteCycle)


def point(run_id: str, **fields: Any) -> bytes:
    return json.dumps({"run_id": run_id, "key": "loss", "value": 0.5, "timestamp": 1, "step": 2, **fields}).encode()


HEADERS = [
    JSON,
    "content-type: application/json; charset=utf-8",
    "content-type: text/plain",
    "x-request-id: mine-1",
    "content-encoding: gzip",
    "content-encoding: identity",
    "expect: 100-continue",
    "connection: close",
    "authorization: Bearer x",
    "upgrade: websocket",
    "origin: http://localhost",
    "origin: https://other.example.com",
    "sec-fetch-site: cross-site",
]
PATHS = [
    *(f"/api/2.0/mlflow/runs/{name}" for name in ("log-metric", "log-parameter", "set-tag", "log-batch", "update")),
    "/ajax-api/2.0/mlflow/runs/log-metric",
    f"{LOG_METRIC}?x=1",
    "/api/2.0/mlflow/runs/log%2Dmetric",
    "/api/2.0/mlflow/runs/delete-tag",
    "/api/2.0/mlflow/runs/log-inputs",
    "/api/2.0/mlflow/runs/search",
]
BODIES: list[Any] = [
    {"key": "loss", "value": 0.5, "timestamp": 1, "step": 2},
    {"key": "loss", "value": "NaN", "timestamp": "1"},
    {"key": "loss", "value": "x", "timestamp": 1},
    {"key": "..", "value": 1, "timestamp": 1},
    {"key": "p", "value": "a", "timestamp": 1},
    {"key": "nul\u0000", "value": "a"},
    {"metrics": [{"key": "m", "value": 1.5, "timestamp": 1, "step": 0}, {"key": "m", "value": 2, "timestamp": 2}]},
    {"metrics": [{"key": "m", "value": 1.5, "timestamp": 2**63, "step": 0}]},
    {"params": [{"key": "p", "value": "a"}, {"key": "p", "value": "b"}]},
    {"tags": [{"key": "t"}, {"key": "", "value": "b"}]},
    {"status": "FINISHED", "end_time": 5},
    {"status": "GONE"},
    {"run_id": "nobody's", "key": "loss", "value": 0.5, "timestamp": 1, "step": 2},
    b"",
    b"{",
    b"[]",
    b'{"run_id": NaN}',
    b" " * (MAX_FAST_BYTES + 1),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[HubCalls, str]]:
    place = tmp_path_factory.mktemp("both")
    async with hub_over(str(place / "store"), place / "artifacts") as hub:
        yield hub, await hub.made_run()


@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS),
    body=st.sampled_from(BODIES),
    headers=st.sets(st.sampled_from(HEADERS), max_size=3),
    usual=st.booleans(),
    cuts=st.lists(st.integers(1, 2000), max_size=3),
)
async def test_both_roads_give_the_same_answers(
    shared: tuple[HubCalls, str], path: str, body: Any, headers: set[str], usual: bool, cuts: list[int]
) -> None:
    hub, run_id = shared
    content = body if isinstance(body, bytes) else json.dumps({"run_id": run_id, **body}).encode()
    asked = sent(content, *sorted({JSON} if usual else headers), path=path)
    found = []
    for app in (hub.app, SlowPathOnly(hub.app)):
        protocol, wire = connect(app)
        for first, end in zip([0, *sorted(cuts)], [*sorted(cuts), None], strict=True):
            protocol.data_received(asked[first:end])
        found.append((await answered(wire), wire.closed))
    assert found[0] == found[1]
    assert repr(hub.app._hub.bodies.small.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"


async def test_a_write_is_taken_and_kept(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    events: list[HubRequestEvent] = []
    hub.app._requests._observe = events.append
    protocol, wire = connect(hub.app)
    protocol.data_received(sent(point(run_id), JSON, "x-request-id: mine-1"))
    assert taken(protocol)
    assert "mine-1" in repr(protocol.cycle)
    protocol.data_received(sent(point(run_id), JSON, "x-request-id: mine-1"))  # sent ahead
    assert [(status, body) for status, _, body in await answered(wire, 2)] == [("HTTP/1.1 200 OK", b"{}")] * 2
    assert b"x-request-id: mine-1\r\n" in wire.written
    run = (await hub.get("runs/get", run_id=run_id)).json()["run"]
    assert run["data"]["metrics"][0]["value"] == 0.5
    told = [(event.method, event.path, event.status, event.request_id) for event in events[:2]]
    assert told == [("POST", LOG_METRIC, 200, "mine-1")] * 2


@pytest.mark.parametrize("path", ["runs/create", "runs/log-batch", "runs/update"])
async def test_what_is_one_write_needs_no_coroutine(hub: HubCalls, path: str) -> None:
    route = hub.app.routes.find("POST", f"/api/2.0/mlflow/{path}")
    assert route is not None
    assert isinstance(route[0].handler, StoreWrite)


async def test_a_body_that_takes_its_time_takes_the_slow_path(hub: HubCalls) -> None:
    protocol, wire = connect(hub.app)
    whole = sent(point(await hub.made_run()), JSON)
    protocol.data_received(whole[:-4])
    assert protocol._pending is not None
    await until(lambda: protocol._pending is None)
    protocol.data_received(whole[-4:])
    ((status, _, _),) = await answered(wire)
    assert status == "HTTP/1.1 200 OK"
    assert not taken(protocol)


async def refused(hub: HubCalls, monkeypatch: pytest.MonkeyPatch, error: Exception) -> tuple[str, dict[str, str]]:
    def submit(change: Any, on_end: Any) -> None:
        asyncio.get_running_loop().call_soon(on_end, None, error)

    monkeypatch.setattr(hub.app._hub.context().stores, "submit", submit)
    protocol, wire = connect(hub.app)
    protocol.data_received(sent(point("r"), JSON))
    ((status, headers, _),) = await answered(wire)
    return status, headers


async def test_what_the_database_does_not_take_is_answered(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    status, headers = await refused(hub, monkeypatch, RegistryUnavailable("It is away."))
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers["retry-after"] == "2"


async def test_a_fault_of_our_own_is_a_500(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _ = await refused(hub, monkeypatch, KeyError("x"))
    assert status == "HTTP/1.1 500 Internal Server Error"


async def test_an_answer_that_fails_is_a_500(hub: HubCalls, caplog: pytest.LogCaptureFixture) -> None:
    route = hub.app.routes.find("POST", LOG_METRIC)
    assert route is not None
    handler: Any = route[0].handler
    broken = StoreWrite(handler.change, lambda _: json.loads("{"))
    path: Any = hub.app.shortcuts.fast_path
    path._routes[LOG_METRIC.encode()] = type(route[0])(LOG_METRIC, ("POST",), "write", broken)
    protocol, wire = connect(hub.app)
    protocol.data_received(sent(point(await hub.made_run()), JSON))
    ((status, _, _),) = await answered(wire)
    assert status == "HTTP/1.1 500 Internal Server Error"
    assert "JSONDecodeError" in caplog.text


async def test_a_client_that_left_takes_nothing_back(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    events: list[HubRequestEvent] = []
    hub.app._requests._observe = events.append
    protocol, wire = connect(hub.app)
    protocol.data_received(sent(point(run_id), JSON))
    wire.closed = True
    protocol.connection_lost(None)
    await until(lambda: bool(events))
    assert events[0].status == CLIENT_LEFT
    assert wire.written == b""
    run = (await hub.get("runs/get", run_id=run_id)).json()["run"]
    assert run["data"]["metrics"][0]["key"] == "loss"


async def test_a_hub_that_ends_closes_the_connection(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    protocols: list[tuple[BoundedProtocol, Wire]] = [connect(hub.app), connect(hub.app)]
    protocols[0][0].data_received(sent(point(run_id), JSON))
    hub.app._hub.drain()
    protocols[1][0].data_received(sent(point(run_id), JSON))
    for _, wire in protocols:
        ((status, headers, _),) = await answered(wire)
        assert (status, headers["connection"], wire.closed) == ("HTTP/1.1 200 OK", "close", True)


async def test_tokens_are_asked_for(tmp_path: Path) -> None:
    gate = HubGate(asks_for_tokens=True)
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts", gate) as hub:
        tokens = {role: hub.tokens.add(role, role) for role in ("read", "write")}
        gate.admit(hub.tokens.callers().by_digest)
        found = []
        for token in (tokens["write"], tokens["read"], "another"):
            protocol, wire = connect(hub.app)
            protocol.data_received(sent(point("nobody"), JSON, f"authorization: Bearer {token}"))
            fast = taken(protocol)
            ((status, _, _),) = await answered(wire)
            found.append((fast, status.split()[1]))
    assert found == [(True, "404"), (False, "403"), (False, "401")]
