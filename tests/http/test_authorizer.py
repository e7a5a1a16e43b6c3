"""The question of access, from the head of a request to the decision."""

from __future__ import annotations

from typing import Any

from penstock.access import ANONYMOUS, OPERATOR, BearerTokens, Principal
from penstock.http.authorizer import Authorizer


def head(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"headers": list(headers)}


def test_the_token_of_a_head_decides() -> None:
    caller = Principal("caller", frozenset({"predict"}), frozenset({"m"}))
    access = Authorizer(BearerTokens({"secret": caller}))
    known = head((b"authorization", b"Bearer secret"))
    assert access.admits(known, "predict", "m")
    assert not access.admits(known, "predict", "other")
    assert not access.admits(known, "metrics")
    assert not access.admits(head(), "predict", "m")
    assert access.admits(head(), "probe")


def test_the_caller_of_a_head_is_the_tokens_or_nobody() -> None:
    caller = Principal("caller", frozenset({"predict"}))
    access = Authorizer(BearerTokens({"secret": caller}))
    assert access.identify(head((b"authorization", b"Bearer secret"))) is caller
    assert access.identify(head((b"authorization", b"Bearer other"))) is ANONYMOUS
    assert access.identify(head()) is ANONYMOUS


def test_a_server_without_tokens_looks_at_no_header() -> None:
    access = Authorizer(BearerTokens({}))
    assert access.admits({}, "metrics")
    assert access.identify({}) is OPERATOR
