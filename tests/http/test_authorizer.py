"""The question of access, from the head of a request to the decision."""

from __future__ import annotations

from typing import Any

from penstock.access.credentials import digest_of
from penstock.access.principal import ANYBODY, STRANGER, Principal
from penstock.access.tokens import KnownTokens
from penstock.http.authorizer import Authorizer


def head(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"headers": list(headers)}


def test_the_token_of_a_head_decides() -> None:
    caller = Principal("caller", frozenset({"predict"}), frozenset({"m"}))
    access = Authorizer(KnownTokens({digest_of("secret"): caller}))
    known = head((b"authorization", b"Bearer secret"))
    assert access.admits(known, "predict", "m")
    assert not access.admits(known, "predict", "other")
    assert not access.admits(known, "metrics")
    assert not access.admits(head(), "predict", "m")
    assert access.admits(head(), "nothing")


def test_the_caller_of_a_head_is_the_tokens_or_nobody() -> None:
    caller = Principal("caller", frozenset({"predict"}))
    access = Authorizer(KnownTokens({digest_of("secret"): caller}))
    assert access.identify(head((b"authorization", b"Bearer secret"))) is caller
    assert access.identify(head((b"authorization", b"Bearer other"))) is STRANGER
    assert access.identify(head()) is STRANGER


def test_a_server_without_tokens_looks_at_no_header() -> None:
    access = Authorizer(KnownTokens({}, required=False))
    assert access.admits({}, "metrics")
    assert access.identify({}) is ANYBODY
