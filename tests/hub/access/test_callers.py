"""Who is let in by a hub: every route with every role, and all that is no token."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hub.conftest import HubCalls, hub_over, until
from penstock.access.policy import HUB_ROLES
from penstock.errors import RegistryUnavailable
from penstock.hub.access.gate import HubGate
from penstock.hub.request_event import HubRequestEvent
from penstock.metrics import HUB_REFUSALS, HubMetrics
from support.wire import answers, connect, request

READ = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"


class Shared:
    """A hub that asks for tokens, one for each role."""

    def __init__(self, hub: HubCalls, tokens: Mapping[str, str], metrics: HubMetrics) -> None:
        self.hub = hub
        self.tokens = tokens
        self.metrics = metrics

    async def status(self, authorization: str | None, path: str = READ) -> int:
        headers = {} if authorization is None else {"authorization": authorization}
        return (await self.hub.client.get(path, headers=headers)).status_code


@pytest_asyncio.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Shared]:
    metrics = HubMetrics(process=False)
    gate = HubGate(asks_for_tokens=True, on_refused=metrics.refuse)
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts", gate) as hub:
        tokens: dict[str, str] = {role: hub.tokens.add(f"a-{role}", role) for role in HUB_ROLES}
        gate.admit(hub.tokens.callers().by_digest)
        yield Shared(hub, tokens, metrics)


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.mark.parametrize("role", [*HUB_ROLES, "stranger"])
async def test_every_route_answers_the_roles_of_the_table_and_no_other(shared: Shared, role: str) -> None:
    """Through the application, below /api/ and /ajax-api/: what is let in is answered in some way, be it a 400."""
    headers = {} if role == "stranger" else {"authorization": f"Bearer {shared.tokens[role]}"}
    for route in shared.hub.app.routes:
        path = route.path.replace("...}", "}").format_map(_Anything())
        for method in route.methods:
            answer = await shared.hub.client.request(method, path, headers=headers)
            known = role in HUB_ROLES
            enough = route.needs == "nothing" or (known and HUB_ROLES.index(role) >= HUB_ROLES.index(route.needs))
            said = (method, path, answer.status_code, answer.text[:200])
            assert (answer.status_code in (401, 403)) == (not enough), said
            if not enough:
                assert answer.status_code == (403 if known else 401), said
                assert not known or f"this needs the role {route.needs}" in answer.text
                assert known or answer.headers["www-authenticate"].startswith("Basic")


class _Anything(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "x"


async def test_a_token_is_a_bearer_or_the_password_of_any_user(shared: Shared) -> None:
    token = shared.tokens["read"]
    for sent in (f"Bearer {token}", f"bearer   {token}", basic("ann", token), basic("", token), basic("ü", token)):
        assert await shared.status(sent) == 200, sent


async def test_what_is_no_token_is_a_strangers(shared: Shared) -> None:
    token = shared.tokens["admin"]
    for sent in (
        None, "", "Bearer", "Bearer ", f"Bearer {token[:-1]}", f"Bearer {token}x", f"Digest {token}", token,
        "Basic", "Basic ", "Basic !!!!", f"Basic {token}", f"Basic {basic('a', token)[6:-3]}", basic(token, ""),
        basic(token, "x"), basic("a", f"{token}\n"), f"Bearer {'x' * 60_000}", basic("a", "x" * 40_000),
        f"Bearer {token} {token}", f"Bearer {token},{token}",
    ):  # fmt: skip
        assert await shared.status(sent) == 401, (sent or "")[:80]


async def test_a_token_in_the_query_string_counts_for_nothing(shared: Shared) -> None:
    token = shared.tokens["admin"]
    for name in ("token", "access_token", "authorization", "api_key"):
        assert await shared.status(None, f"{READ}&{name}={token}") == 401


async def test_refusals_are_counted_by_their_reasons(shared: Shared) -> None:
    await shared.status(None)
    await shared.status("Bearer guess")
    await shared.status("Bearer guess", "/nothing")
    client, read = shared.hub.client, {"authorization": f"Bearer {shared.tokens['read']}"}
    await client.post("/api/2.0/mlflow/runs/create", headers=read)
    await client.post("/api/2.0/mlflow/runs/create", headers={**read, "origin": "http://evil.example"})
    await shared.status(f"Bearer {shared.tokens['read']}")
    await shared.status(None, "/health")
    count = shared.metrics.registry.get_sample_value
    found = {r: count("penstock_hub_access_refused_total", {"reason": r}) for r in HUB_REFUSALS}
    assert found == {"no_token": 1, "unknown_token": 2, "role": 1, "host": 0, "origin": 1}


async def test_a_token_is_in_no_event_and_no_answer(tmp_path: Path) -> None:
    gate, events = HubGate(asks_for_tokens=True), list[HubRequestEvent]()
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts", gate) as hub:
        token = hub.tokens.add("ann", "read")
        gate.admit(hub.tokens.callers().by_digest)
        hub.app._requests._observe = events.append
        told = []
        for path in (READ, "/nothing", "/api/2.0/mlflow/runs/get"):
            told.append(await hub.client.get(path, headers={"authorization": f"Bearer {token}"}))
        told.append(await hub.client.post("/api/2.0/mlflow/runs/create", headers={"authorization": basic("x", token)}))
        told.append(await hub.client.get(READ, headers={"authorization": f"Bearer {token}y"}))
        told.append(await hub.client.get(f"{READ}&token={token}"))
    assert [event.caller for event in events] == ["ann"] * 4 + ["", ""]
    assert token not in "".join(str(event.fields()) for event in events)
    assert token not in "".join(f"{answer.text}{answer.headers}" for answer in told)


async def test_heads_that_no_honest_client_sends_are_refused_on_the_connection(shared: Shared) -> None:
    token = shared.tokens["admin"]
    two = [f"authorization: Bearer {token}", "AUTHORIZATION: Bearer x"]
    huge = [f"authorization: Bearer {'x' * 70_000}"]
    for sent, status in ((two, "HTTP/1.1 400 Bad Request"), (huge, "HTTP/1.1 431 Request Header Fields Too Large")):
        protocol, wire = connect(shared.hub.app)
        protocol.data_received(request(b"", *sent, path=READ, method="GET"))
        await until(lambda wire=wire: wire.closed)  # type: ignore[misc]
        ((found, _, _),) = answers(wire.written)
        assert found == status


async def test_a_revoked_token_is_worthless_soon_in_every_hub_on_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever revokes it: here another process' table. On connections that are open, too: each request is asked."""
    monkeypatch.setattr("penstock.hub.service._WATCH_SECONDS", 0.01)
    gates = [HubGate(asks_for_tokens=True), HubGate(asks_for_tokens=True)]
    store, files = str(tmp_path / "store"), tmp_path / "artifacts"
    async with hub_over(store, files, gates[0]) as one, hub_over(store, files, gates[1]) as other:
        token = one.tokens.add("ann", "read")
        kept = one.tokens.add("bob", "read")
        shown: dict[str, Any] = {"headers": [(b"authorization", f"Bearer {token}".encode())]}
        await until(lambda: all(gate.identify(shown).name == "ann" for gate in gates))
        for hub in (one, other):
            assert (await hub.client.get(READ, headers={"authorization": f"Bearer {token}"})).status_code == 200
        one.tokens.revoke("ann")
        await until(lambda: not any(gate.identify(shown).name for gate in gates))
        for hub in (one, other):
            assert (await hub.client.get(READ, headers={"authorization": f"Bearer {token}"})).status_code == 401
            assert (await hub.client.get(READ, headers={"authorization": basic("x", kept)})).status_code == 200


async def test_every_change_of_the_registry_is_recorded_with_who_did_it(shared: Shared) -> None:
    """Each by another token, so that none is recorded under another one's name."""
    by_role = {role: {"authorization": f"Bearer {token}"} for role, token in shared.tokens.items()}

    async def sent(role: str, method: str, path: str, **content: Any) -> None:
        url = f"/api/2.0/mlflow/{path}"
        answer = await shared.hub.client.request(method, url, json=content, headers=by_role[role])
        assert answer.status_code == 200, (path, answer.text)

    at, version = {"name": "fraud"}, {"name": "fraud", "version": "1"}
    await sent("write", "POST", "registered-models/create", **at)
    await sent("promote", "PATCH", "registered-models/update", **at, description="d")
    await sent("admin", "POST", "registered-models/set-tag", **at, key="k", value="v")
    await sent("write", "DELETE", "registered-models/delete-tag", **at, key="k")
    await sent("promote", "POST", "model-versions/create", **at, source="s3://bucket/fraud")
    await sent("admin", "PATCH", "model-versions/update", **version, description="d")
    await sent("write", "POST", "model-versions/set-tag", **version, key="k", value="v")
    await sent("promote", "DELETE", "model-versions/delete-tag", **version, key="k")
    await sent("admin", "POST", "model-versions/transition-stage", **version, stage="Production")
    await sent("promote", "POST", "registered-models/alias", **version, alias="champion")
    await sent("admin", "DELETE", "registered-models/alias", **at, alias="champion")
    await sent("admin", "POST", "registered-models/rename", **at, new_name="theft")
    await sent("admin", "DELETE", "model-versions/delete", name="theft", version="1")
    registry = shared.hub.opened.registry
    assert [(change.kind, change.by) for change in registry.changes("theft")] == [
        ("create", "a-write"), ("describe", "a-promote"), ("tag", "a-admin"), ("untag", "a-write"),
        ("register", "a-promote"), ("describe", "a-admin"), ("tag", "a-write"), ("untag", "a-promote"),
        ("stage", "a-admin"), ("rename", "a-admin"), ("delete", "a-admin"),
    ]  # fmt: skip
    assert [(move.kind, move.by) for move in registry.history("theft")] == [
        ("promote", "a-promote"), ("remove", "a-admin"),
    ]  # fmt: skip


async def test_it_is_written_down_when_a_token_was_shown_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.hub.service._USE_SECONDS", 0.01)
    gate = HubGate(asks_for_tokens=True)
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts", gate) as hub:
        token = hub.tokens.add("ann", "read")
        hub.tokens.add("bob", "read")
        gate.admit(hub.tokens.callers().by_digest)

        def used() -> dict[str, int | None]:
            return {info.name: info.used_at for info in hub.tokens.list()}

        assert used() == {"ann": None, "bob": None}
        await hub.client.get(READ, headers={"authorization": f"Bearer {token}"})
        gate.admit(hub.tokens.callers().by_digest)  # which forgets whom it knew, and not that they came
        await until(lambda: used()["ann"] is not None)
        assert used()["bob"] is None
        first = used()["ann"]
        await asyncio.sleep(0.03)
        assert used()["ann"] == first, "not shown since"


async def test_a_database_that_takes_no_writes_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("penstock.hub.service._USE_SECONDS", 0.01)
    caplog.set_level("INFO", "penstock")
    gate = HubGate(asks_for_tokens=True)
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts", gate) as hub:
        token = hub.tokens.add("ann", "read")
        gate.admit(hub.tokens.callers().by_digest)

        errors = [RuntimeError("The disk is full."), RegistryUnavailable("The disk is full.")]

        def refuse(names: Any) -> None:
            raise errors.pop()

        monkeypatch.setattr(hub.tokens, "note_used", refuse)
        for _ in range(2):
            caplog.clear()
            answer = await hub.client.get(READ, headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 200
            await until(lambda: "not written down which tokens were shown: The disk is full." in caplog.text)
