"""Access: which header is whose, and the policy: roles, open actions, and principals of some models alone."""

from __future__ import annotations

import hmac
from typing import get_args

import pytest

from penstock.access import (
    ACTIONS_OF,
    ANONYMOUS,
    OPEN_ACTIONS,
    OPERATOR,
    Action,
    BearerTokens,
    Principal,
    Role,
    allowed,
)

READER = Principal("reader", frozenset({"metrics"}))
CALLER = Principal("caller", frozenset({"predict"}))

ACTIONS: tuple[Action, ...] = get_args(Action)


@pytest.mark.parametrize("action", ACTIONS)
def test_strangers_may_do_what_is_open_and_nothing_else(action: Action) -> None:
    assert allowed(ANONYMOUS, action) == (action in OPEN_ACTIONS)
    assert allowed(OPERATOR, action)


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("action", ACTIONS)
def test_a_role_allows_its_own_actions(role: Role, action: Action) -> None:
    caller = Principal("caller", frozenset({role}))
    assert allowed(caller, action, "m") == (action in ACTIONS_OF[role] | OPEN_ACTIONS)


def test_predictions_and_metrics_are_apart() -> None:
    assert not allowed(Principal("p", frozenset({"predict"})), "metrics")
    assert not allowed(Principal("m", frozenset({"metrics"})), "predict", "m")
    assert allowed(Principal("both", frozenset({"metrics", "predict"})), "predict", "m")


def test_a_principal_of_some_models_reaches_no_other() -> None:
    caller = Principal("caller", frozenset({"predict"}), frozenset({"fraud"}))
    assert allowed(caller, "predict", "fraud")
    assert not allowed(caller, "predict", "churn")
    assert not allowed(caller, "predict", None), "the default model may be any"
    assert not allowed(caller, "models:read", None)
    assert allowed(caller, "probe")


def test_each_token_is_its_principals() -> None:
    tokens = BearerTokens({"one-ü": READER, "two": CALLER})
    assert tokens.required
    assert tokens.identify("Bearer one-ü".encode()) is READER
    assert tokens.identify(b"bearer  two ") is CALLER


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"two", b"Basic two", b"Bearer two,x", b"Bearer\ttwo", b"Bearertwo"]
)
def test_any_other_header_is_nobodys(header: bytes | None) -> None:
    assert BearerTokens({"two": CALLER}).identify(header) is ANONYMOUS


def test_every_token_is_compared_whichever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append(expected)
        return given == expected

    monkeypatch.setattr(hmac, "compare_digest", compare)
    BearerTokens({"one": READER, "two": CALLER}).identify(b"Bearer one")
    assert compared == [b"Bearer one", b"Bearer two"]


def test_without_tokens_everybody_is_the_operator() -> None:
    tokens = BearerTokens.static("")
    assert not tokens.required
    assert tokens.identify(None) is tokens.identify(b"Bearer x") is OPERATOR


def test_the_static_token_is_the_operators() -> None:
    tokens = BearerTokens.static("secret")
    assert tokens.identify(b"Bearer secret") is OPERATOR
    assert tokens.identify(b"Bearer other") is ANONYMOUS
    assert "secret" not in repr(tokens)


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        BearerTokens({"": CALLER})
