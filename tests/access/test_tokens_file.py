"""The file of tokens: its lines, and what is said of one that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.access.credentials import digest_of
from penstock.access.principal import OPERATOR, STRANGER, Principal
from penstock.access.tokens_file import TokenLine, known_tokens, parse_tokens
from penstock.errors import ConfigError

WORDS = ("shop", "predict", "metrics", "admin", "a" * 64, "b" * 64, "m,n", "\n", "#", "\u2028", "\r", "\x1c", "")
ONE, TWO = digest_of("one"), digest_of("two")


def test_a_line_has_name_role_and_digest_and_for_some_models_their_names() -> None:
    content = f"""\ufeff# who may ask
    shop predict {ONE.upper()}   # the web shop

    fraud-team\tpredict {TWO} fraud,fraud-v2\r\nprometheus metrics {"0" * 64}""".encode()
    assert parse_tokens(content) == [
        TokenLine("shop", "predict", ONE),
        TokenLine("fraud-team", "predict", TWO, ("fraud", "fraud-v2")),
        TokenLine("prometheus", "metrics", "0" * 64),
    ]
    assert parse_tokens(b"") == parse_tokens(b"# nobody\n\n") == []


def test_a_line_is_written_as_it_is_read() -> None:
    for line in (TokenLine("shop", "predict", ONE), TokenLine("team", "predict", TWO, ("a", "b"))):
        assert parse_tokens(str(line).encode()) == [line]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shop predict", "must be NAME ROLE SHA256"),
        ("pst_secretsecret", "must be NAME ROLE SHA256"),
        (f"shop predict {ONE} a b", "must be NAME ROLE SHA256"),
        (f"sh/op predict {ONE}", "must begin with a name"),
        (f"shop write {ONE}", "roles predict, metrics, admin"),
        ("shop predict pst_secretsecret", "must have the SHA-256 of the token"),
        (f"shop predict {ONE[:-1]}", "must have the SHA-256 of the token"),
        (f"shop metrics {ONE} fraud", "names models"),
        (f"shop predict {ONE} ,", "names models"),
        (f"other predict {TWO}", "repeats the name or the digest"),
        (f"shop predict {ONE}", "repeats the name or the digest"),
    ],
)
def test_what_is_no_line_is_refused_by_its_number_and_not_repeated(line: str, said: str) -> None:
    content = f"# first\nother admin {ONE}\n{line}\n" if "repeats" in said else f"\n\n{line}\n"
    with pytest.raises(ConfigError, match=said) as caught:
        parse_tokens(content.encode())
    assert "line 3" in caught.value.message
    assert "secretsecret" not in str(caught.value) + caught.value.hint


def test_many_lines_are_read_in_one_go() -> None:
    """A list of all that were before, looked through for each line, would take minutes."""
    content = "".join(f"t{number} predict {number:064x}\n" for number in range(10_000)).encode()
    assert len(parse_tokens(content)) == 10_000


@given(st.binary() | st.text().map(str.encode) | st.lists(st.sampled_from(WORDS)).map(lambda w: " ".join(w).encode()))
def test_any_content_is_tokens_or_refused(content: bytes) -> None:
    try:
        lines = parse_tokens(content)
    except ConfigError:
        return
    assert parse_tokens("".join(f"{line}\n" for line in lines).encode()) == lines


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="no text"):
        parse_tokens(b"shop predict \xff")


def test_the_known_tokens_are_the_files_and_the_operators() -> None:
    lines = [TokenLine("shop", "predict", ONE, ("m",)), TokenLine("boss", "admin", TWO)]
    tokens = known_tokens(lines, "secret")
    assert tokens.identify(b"Bearer one") == Principal("shop", frozenset({"predict"}), frozenset({"m"}))
    assert tokens.identify(b"Bearer two") == Principal("boss", frozenset({"admin"}))
    assert tokens.identify(b"Bearer secret") is OPERATOR
    assert known_tokens(lines).identify(b"Bearer secret") is STRANGER
    assert known_tokens([]).required
    assert known_tokens([]).identify(None) is STRANGER
