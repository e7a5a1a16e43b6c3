"""Origins as people write them become what browsers send, or are refused with one that would do."""

from __future__ import annotations

import pytest

from penstock.http.origins import parse_origin, parse_origins


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("*", "*"),
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.com/", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://a:443", "http://a:443"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        (" https://a ", "https://a"),
    ],
)
def test_an_origin_is_what_a_browser_sends(written: str, sent: str) -> None:
    assert parse_origin(written) == sent


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "https://app.example.com"),
        ("app.example.com", "as https://app.example.com"),
        ("null", r"\* lets them in"),
        ("https://*.example.com", "matched as a whole"),
        ("https://app.example.com/page?x", "alone: https://app.example.com"),
        ("https://me:pw@app.example.com", "alone: https://app.example.com"),
        ("https://", "no host"),
        ("https://a b", "no host"),
        ("https://a:99999", "no URL"),
        ("https://[x", "no URL"),
        ("https://a\r\nx: y", "no host|no URL|alone"),
    ],
)
def test_what_no_browser_sends_is_refused_with_what_it_would(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_origin(written)


def test_every_origin_stands_alone() -> None:
    assert parse_origins(("https://a", "https://a/")) == ("https://a",)
    with pytest.raises(ValueError, match="leave out the others"):
        parse_origins(("*", "https://a"))
