"""The gate: tokens and roles, hosts, origins; over all routes."""

from __future__ import annotations

import base64
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.conftest import until
from penstock.access.credentials import digest_of
from penstock.access.policy import HUB_ROLES as ROLES
from penstock.access.policy import HubRole
from penstock.access.principal import ANYBODY, STRANGER, Principal
from penstock.assembly.hub import HubOptions, hub_of, open_stores, open_tokens
from penstock.errors import ConfigError, NameInvalid, TokenExists, TokenNotFound
from penstock.hub.access.gate import HubGate
from penstock.hub.handlers.table import ROUTES
from penstock.hub.service import Hub
from penstock.metrics import HubMetrics

ANN = Principal("ann", frozenset({"write"}))


def head(method: str = "GET", **headers: str) -> dict[str, Any]:
    given = {"host": "hub:5000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {"type": "http", "method": method, "headers": [(n.encode(), v.encode()) for n, v in given.items()]}


@pytest.fixture
def asking() -> HubGate:
    gate = HubGate(asks_for_tokens=True)
    gate.admit({digest_of("pst_a"): ANN})
    return gate


@pytest.mark.parametrize(
    "authorization",
    ["Bearer pst_a", "bearer  pst_a ", "Basic " + base64.b64encode(b"whoever:pst_a").decode()],
)
def test_a_token_is_a_bearer_or_the_password_of_basic(asking: HubGate, authorization: str) -> None:
    assert asking.identify(head(authorization=authorization)) is ANN


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer pst_b", "Basic", "Basic !!!", "Basic cHN0X2E=", "Digest pst_a", "pst_a"]
)
def test_anything_else_is_a_stranger(asking: HubGate, authorization: str) -> None:
    assert asking.identify(head(authorization=authorization)) is STRANGER
    refused = asking.refusal(head(), "read", STRANGER)
    assert refused is not None
    assert (refused.status, refused.headers[1][0]) == (401, b"www-authenticate")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods[0]} {route.path}")
def test_a_role_may_do_what_its_routes_need_and_no_more(asking: HubGate, role: HubRole, route: Any) -> None:
    refused = asking.refusal(head(route.methods[0]), route.needs, Principal("x", frozenset({role})))
    enough = route.needs == "nothing" or ROLES.index(role) >= ROLES.index(route.needs)
    assert (refused is None) == enough
    if refused is not None:
        assert (refused.status, b"PERMISSION_DENIED" in refused.body) == (403, True)


def test_only_what_probes_and_clients_ask_first_needs_nothing() -> None:
    open_routes = {route.path for route in ROUTES if route.needs == "nothing"}
    assert open_routes == {"/health", "/version", "/api/3.0/mlflow/server-info"}


def test_a_hub_that_asks_once_asks_for_ever() -> None:
    gate = HubGate(asks_for_tokens=False)
    assert gate.identify(head()) is ANYBODY
    gate.admit({digest_of("pst_a"): ANN})
    assert gate.identify(head()) is STRANGER
    gate.admit({})
    assert gate.identify(head(authorization="Bearer pst_a")) is STRANGER


OURS = ["localhost:5000", "127.0.0.1", "[::1]:5000", "10.2.3.4:80", "a.localhost", "HUB.team:1"]


@pytest.mark.parametrize("host", OURS)
def test_an_open_hub_answers_for_addresses_localhost_and_its_names(host: str) -> None:
    gate = HubGate(asks_for_tokens=False, hosts=["hub.team"])
    assert gate.refusal(head(host=host), "read", ANYBODY) is None


@pytest.mark.parametrize(
    "host", ["evil.example:5000", "hub.team.evil.example", "", "localhost.evil.example", "localhost:5000.evil"]
)
def test_a_name_that_leads_here_without_being_ours_is_refused(host: str) -> None:
    gate = HubGate(asks_for_tokens=False, hosts=["hub.team"])
    refused = gate.refusal(head(host=host), "read", ANYBODY)
    assert refused is not None
    assert refused.status == 403
    assert gate.refusal(head(host=host), "nothing", ANYBODY) is None


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ({}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"origin": "http://localhost:5000"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://localhost:5001"}, False),
    ],
)
def test_pages_of_other_sites_change_nothing(headers: dict[str, str], admitted: bool) -> None:
    gate = HubGate(asks_for_tokens=False)
    asked = head("POST", host="localhost:5000", **headers)
    assert (gate.refusal(asked, "write", ANYBODY) is None) == admitted
    assert gate.refusal({**asked, "method": "GET"}, "read", ANYBODY) is None


def test_tokens_are_made_listed_and_revoked(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    table = open_tokens(str(tmp_path / "store"))
    request.addfinalizer(table.close)
    token = table.add("ann", "write")
    assert (token[:4], len(token) > 40) == ("pst_", True)
    assert table.callers().by_digest == {digest_of(token): ANN}
    with pytest.raises(TokenExists):
        table.add("ann", "read")
    with pytest.raises(NameInvalid):
        table.add("a b", "read")
    table.revoke("ann")
    assert table.callers().by_digest == {}
    assert [(info.name, info.role, info.revoked_at is None) for info in table.list()] == [("ann", "write", False)]
    with pytest.raises(TokenNotFound):
        table.revoke("ann")
    assert token.encode() not in (tmp_path / "store" / "registry.db").read_bytes()


async def test_a_hub_that_others_reach_does_not_start_without_tokens(tmp_path: Path) -> None:
    options = HubOptions(str(tmp_path / "store"), str(tmp_path / "artifacts"), loopback=False)
    gate = HubGate(asks_for_tokens=True)
    with pytest.raises(ConfigError, match="needs tokens"):
        await Hub(lambda: open_stores(options), gate, HubMetrics(), needs_tokens=True).start()
    with closing(open_tokens(options.store)) as tokens:
        tokens.add("ann", "admin")
    started = Hub(lambda: open_stores(options), gate, HubMetrics(), needs_tokens=True)
    await started.start()
    await started.close()
    with closing(open_tokens(options.store)) as tokens:
        tokens.revoke("ann")
    with pytest.raises(ConfigError, match="needs tokens, and all tokens of its store are revoked"):
        await Hub(lambda: open_stores(options), gate, HubMetrics(), needs_tokens=True).start()


@pytest.mark.parametrize("open_to_everybody", [False, True])
async def test_a_store_that_had_tokens_is_closed_for_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, open_to_everybody: bool
) -> None:
    """On a loopback address, where a store without tokens is open. A hub that starts after the last token was revoked
    asks for one as the hub does that saw it go."""
    options = HubOptions(str(tmp_path / "store"), str(tmp_path / "artifacts"), open_to_everybody=open_to_everybody)
    with hub_of(options) as (_, fresh):
        await fresh.start()
        assert not fresh.asks_for_tokens
        await fresh.close()
    assert "revoked" not in caplog.text
    with closing(open_tokens(options.store)) as tokens:
        tokens.add("ann", "read")
        tokens.revoke("ann")
    with hub_of(options) as (app, again):
        await again.start()
        assert again.asks_for_tokens is not open_to_everybody
        asked = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        async with asked as client:
            answer = await client.get("/api/2.0/mlflow/experiments/get", params={"experiment_id": "0"})
        assert answer.status_code == (200 if open_to_everybody else 401)
        await again.close()
    assert ("All tokens of the store are revoked" in caplog.text) is not open_to_everybody


async def test_a_running_hub_asks_from_the_first_token_on_even_if_it_was_revoked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.hub.service._WATCH_SECONDS", 0.01)
    options = HubOptions(str(tmp_path / "store"), str(tmp_path / "artifacts"))
    with hub_of(options) as (_, hub), closing(open_tokens(options.store)) as tokens:
        await hub.start()
        tokens.add("ann", "read")
        tokens.revoke("ann")
        assert not hub.asks_for_tokens
        await until(lambda: hub.asks_for_tokens)
        await hub.close()


@pytest.mark.parametrize(
    ("host", "means_us"),
    [
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("localhost:", True),
        ("a.localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]", True),
        ("[::1]:5000", True),
        ("[::1].evil.com", False),
        ("[::1]:5000.evil.com", False),
        ("[::1]evil", False),
        ("[evil.com]", False),
        ("localhost:5000:evil", False),
        ("localhost:evil", False),
        ("localhost]", False),
        ("::1", False),
        ("", False),
    ],
)
def test_a_host_is_a_name_and_a_port_and_nothing_more(host: str, means_us: bool) -> None:
    gate = HubGate(asks_for_tokens=False)
    assert (gate.refusal(head(host=host), "read", ANYBODY) is None) is means_us
