"""Credentials: tokens as they are made and shown."""

from __future__ import annotations

import base64

import pytest

from penstock.access.credentials import bearer_or_password, bearer_token, digest_of, is_token_name, new_token


def test_a_token_has_256_random_bits_and_a_prefix_to_find_it_by() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    for token in made:
        assert token.startswith("pst_")
        assert len(base64.urlsafe_b64decode(token.removeprefix("pst_") + "=")) == 32


def test_a_digest_is_the_sha_256_that_any_tool_makes() -> None:
    assert digest_of("abc") == digest_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"BEARER   abc  ", b"abc"),
        (b"Basic " + base64.b64encode(b"ann:abc"), b"abc"),
        (b"Basic " + base64.b64encode(b":abc"), b"abc"),
        (b"Basic " + base64.b64encode(b"ann:a:b"), b"a:b"),
        (b"Basic " + base64.b64encode("ann:ä".encode()), "ä".encode()),
        (b"Basic " + base64.b64encode(b"\xff\xfe:abc"), b"abc"),
        (b"Basic", None),
        (b"Basic ", None),
        (b"Basic !!!", None),
        (b"Basic YTph\xff", None),
        (b"Basic YTpi YTpi", None),
        (b"Basic " + base64.b64encode(b"abc"), None),
        (b"Basic " + base64.b64encode(b"ann:"), None),
        (b"Basic " + base64.b64encode(b"a:" + b"x" * 9000), None),
        (b"Bearer " + b"x" * 9000, None),
        (b"Digest abc", None),
        (b"", None),
    ],
)
def test_a_token_is_a_bearer_or_a_password(header: bytes, token: bytes | None) -> None:
    assert bearer_or_password(header) == token
    if not header.startswith(b"Basic"):
        assert bearer_token(header) == token


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("ann", True),
        ("ci@team.example+x-1", True),
        ("", False),
        ("a b", False),
        ("a\n", False),
        ("a" * 256, False),
        ("a#", False),
        ("a:b", False),
    ],
)
def test_names_of_tokens_fit_into_logs_and_files(name: str, good: bool) -> None:
    assert is_token_name(name) == good
