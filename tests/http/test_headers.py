"""What request headers say."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import UnsupportedMedia
from penstock.http.headers import any_header, declared_length, header, media_type

READABLE = ("application/json", "text/csv")


def head(**headers: str) -> dict[str, Any]:
    return {"headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]}


def test_the_first_of_several_counts() -> None:
    several = {"headers": [(b"a", b"1"), (b"a", b"2"), (b"b", b"3")]}
    assert (header(several, b"a"), header(several, b"b"), header(several, b"c")) == (b"1", b"3", None)
    assert any_header(several, frozenset({b"c", b"b"}))
    assert not any_header(several, frozenset({b"c"}))


@pytest.mark.parametrize(("value", "length"), [("12", 12), ("", 0), ("-1", 0), ("1e3", 0), ("0x10", 0)])
def test_a_length_that_is_no_number_is_none(value: str, length: int) -> None:
    assert declared_length(head(content_length=value)) == length
    assert declared_length(head()) == 0


@pytest.mark.parametrize(
    ("value", "media"),
    [
        ("", "application/json"),
        ("application/json", "application/json"),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ('text/csv;charset="utf-8";', "text/csv"),
    ],
)
def test_a_readable_content_type_becomes_its_media_type(value: str, media: str) -> None:
    assert media_type(head(content_type=value), READABLE) == media
    assert media_type(head(), READABLE) == "application/json"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("image/png", r"type 'image/png' are not supported. Send application/json, text/csv"),
        ("text/csv; header=absent", "parameter 'header' is not supported"),
        ("text/csv; charset=latin-1", "Only UTF-8 is supported, not 'latin-1'"),
        ("x/" + "y" * 100, "type 'x/y{58}' are not supported"),
    ],
)
def test_an_unreadable_content_type_is_refused(value: str, message: str) -> None:
    with pytest.raises(UnsupportedMedia, match=message):
        media_type(head(content_type=value), READABLE)


def test_what_curl_sends_without_a_type_is_told_the_header_that_is_missing() -> None:
    with pytest.raises(UnsupportedMedia) as refused:
        media_type(head(content_type="application/x-www-form-urlencoded"), READABLE)
    assert "as curl -d does where no type is given" in refused.value.message
    for remedy in ("-H 'Content-Type: application/json'", "-H 'Content-Type: text/csv'", "--data-binary @FILE"):
        assert remedy in refused.value.hint
