"""Bearer tokens: which header is whose."""

from __future__ import annotations

import hmac

import pytest

from penstock.access.principal import ANONYMOUS, OPERATOR, Principal
from penstock.access.tokens import BearerTokens

READER = Principal("reader", frozenset({"metrics"}))
CALLER = Principal("caller", frozenset({"predict"}))


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
