"""The known tokens: which header is whose, and what is remembered of it."""

from __future__ import annotations

import pytest

from penstock.access import credentials
from penstock.access import tokens as module
from penstock.access.credentials import bearer_or_password, digest_of
from penstock.access.principal import ANYBODY, OPERATOR, STRANGER, Principal
from penstock.access.tokens import KnownTokens

READER = Principal("reader", frozenset({"metrics"}))
CALLER = Principal("caller", frozenset({"predict"}))


def known(**principals: Principal) -> KnownTokens:
    return KnownTokens({digest_of(token): principal for token, principal in principals.items()})


def test_each_token_is_its_principals() -> None:
    tokens = KnownTokens({digest_of("one-ü"): READER, digest_of("two"): CALLER})
    assert tokens.required
    assert tokens.identify("Bearer one-ü".encode()) is READER
    assert tokens.identify(b"bearer  two ") is CALLER


@pytest.mark.parametrize(
    "header",
    [
        None, b"", b"Bearer", b"Bearer ", b"two", b"Basic two", b"Bearer two,x", b"Bearer\ttwo", b"Bearertwo",
        b"Bearer two\x00", b"Bearer " + digest_of("two").encode(), b"Bearer two " + b"x" * 10_000, b"Basic OnR3bw==",
    ],
)  # fmt: skip
def test_any_other_header_is_nobodys(header: bytes | None) -> None:
    assert known(two=CALLER).identify(header) is STRANGER


def test_a_server_with_no_token_left_lets_nobody_in() -> None:
    tokens = KnownTokens({})
    assert tokens.required
    assert tokens.identify(None) is tokens.identify(b"Bearer ") is STRANGER


def test_a_known_header_is_hashed_once_and_a_strangers_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes | str] = []

    def digest(token: bytes | str) -> str:
        hashed.append(token)
        return credentials.digest_of(token)

    tokens = known(two=CALLER)
    monkeypatch.setattr(module, "digest_of", digest)
    for _ in range(3):
        assert tokens.identify(b"Bearer two") is CALLER
        assert tokens.identify(b"Bearer guess") is STRANGER
    assert hashed == [b"two", b"guess", b"guess", b"guess"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOM", 8)
    tokens = known(two=CALLER)
    for blanks in range(100):
        assert tokens.identify(b"Bearer " + b" " * blanks + b"two") is CALLER
    assert len(tokens._seen) <= 8


def test_without_tokens_everybody_may_come() -> None:
    tokens = KnownTokens.static("")
    assert not tokens.required
    assert tokens.identify(None) is tokens.identify(b"Bearer x") is ANYBODY


def test_the_static_token_is_the_operators() -> None:
    tokens = KnownTokens.static("secret")
    assert tokens.identify(b"Bearer secret") is OPERATOR
    assert tokens.identify(b"Bearer other") is STRANGER
    assert "secret" not in repr(tokens)


def test_where_passwords_are_read_both_headers_are_the_same_callers() -> None:
    tokens = KnownTokens({digest_of("two"): CALLER}, read=bearer_or_password)
    for header in (b"Bearer two", b"Basic OnR3bw==", b"basic  YW5uOnR3bw== "):
        assert tokens.identify(header) is CALLER
