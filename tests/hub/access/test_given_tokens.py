"""Tokens that the environment gives, beside those in the table."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from penstock.access.credentials import digest_of
from penstock.access.principal import STRANGER, Principal
from penstock.assembly.hub import HubOptions, open_stores, open_tokens
from penstock.errors import ConfigError
from penstock.hub.access.gate import HubGate
from penstock.hub.access.given_tokens import callers_of, given_tokens
from penstock.hub.service import Hub
from penstock.metrics import HubMetrics

LONG = "0123456789abcdef" * 2


def test_each_role_has_a_variable() -> None:
    environment = {"PENSTOCK_HUB_ADMIN_TOKEN": f"{LONG}\n", "PENSTOCK_HUB_READ_TOKEN": f"{LONG}r", "OTHER": "x"}
    assert given_tokens(environment) == {"read": f"{LONG}r", "admin": LONG}
    assert given_tokens({"PENSTOCK_HUB_WRITE_TOKEN": ""}) == {}
    assert callers_of({"admin": LONG}) == {digest_of(LONG): Principal("environment:admin", frozenset({"admin"}))}


def test_a_token_that_might_be_guessed_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="PENSTOCK_HUB_ADMIN_TOKEN has 6 characters") as refused:
        given_tokens({"PENSTOCK_HUB_ADMIN_TOKEN": "secret"})
    assert "secret" not in str(refused.value)
    assert LONG not in repr(HubOptions("s", "a", given_tokens={"admin": LONG}))


def test_one_value_has_one_role() -> None:
    with pytest.raises(ConfigError, match="one value"):
        given_tokens({"PENSTOCK_HUB_ADMIN_TOKEN": LONG, "PENSTOCK_HUB_READ_TOKEN": LONG})


async def test_a_hub_that_needs_tokens_starts_with_a_given_one(tmp_path: Path) -> None:
    """And those of the table are let in beside it."""
    options = HubOptions(str(tmp_path / "store"), str(tmp_path / "artifacts"), loopback=False)
    with closing(open_tokens(options.store)) as tokens:
        ann = tokens.add("ann", "write")
        tokens.revoke("ann")
        bob = tokens.add("bob", "write")
    gate = HubGate(asks_for_tokens=True)
    given = callers_of({"admin": LONG})
    hub = Hub(lambda: open_stores(options), gate, HubMetrics(), needs_tokens=True, given=given)
    await hub.start()

    def who(token: str) -> Principal:
        return gate.identify({"headers": [(b"authorization", f"Bearer {token}".encode())]})

    assert who(LONG) == Principal("environment:admin", frozenset({"admin"}))
    assert who(bob) == Principal("bob", frozenset({"write"}))
    assert who(ann) is STRANGER
    await hub.close()
