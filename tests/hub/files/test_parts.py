"""Which bytes an answer has, and what browsers are told about a file: decided without one."""

from __future__ import annotations

import pytest

from penstock.hub.files.parts import FilePart, headers_of, part_of, tag_of, type_of

TAG = b'"abc"'


def part(size: int = 10, **headers: str) -> FilePart:
    names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return part_of({"headers": names}, size, TAG)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=2-4", (206, 2, 3)),
        ("bytes=7-", (206, 7, 3)),
        ("bytes=-3", (206, 7, 3)),
        ("bytes=-99", (206, 0, 10)),
        ("bytes=0-99", (206, 0, 10)),
        ("bytes = 0-0", (206, 0, 1)),
        ("bytes=10-", (416, 0, 0)),
        ("bytes=-0", (416, 0, 0)),
        ("bytes=99999999999999999999999999-", (416, 0, 0)),
        ("bytes=1-2,4-5", (200, 0, 10)),
        ("bytes=4-2", (200, 0, 10)),
        ("bytes=-", (200, 0, 10)),
        ("items=1-2", (200, 0, 10)),
        ("bytes=a-b", (200, 0, 10)),
    ],
)
def test_a_range_is_a_part_of_the_file(asked: str, expected: tuple[int, int, int]) -> None:
    assert part(range=asked) == expected


def test_a_file_without_bytes_has_no_parts() -> None:
    assert part(0) == (200, 0, 0)
    assert part(0, range="bytes=0-").status == 416


@pytest.mark.parametrize(
    ("known", "status"), [('"abc"', 304), ('W/"abc"', 304), ('"x", "abc"', 304), ("*", 304), ('"x"', 200), ("abc", 200)]
)
def test_what_a_caller_has_is_not_sent_again(known: str, status: int) -> None:
    assert part(if_none_match=known).status == status
    assert part(if_none_match=known, range="bytes=1-2").status == (status if status == 304 else 206)


def test_a_part_of_another_state_is_all_of_this_one() -> None:
    assert part(range="bytes=1-2", if_range='"abc"').status == 206
    assert part(range="bytes=1-2", if_range='"old"') == (200, 0, 10)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.html", "text/plain; charset=utf-8"),
        ("a.xhtml", "application/octet-stream"),
        ("a.xml", "text/plain; charset=utf-8"),
        ("a.js", "text/plain; charset=utf-8"),
        ("a.json", "text/plain; charset=utf-8"),
        ("conda.yaml", "text/plain; charset=utf-8"),
        ("MLmodel", "text/plain; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.swf", "application/octet-stream"),
        ("model.pkl", "application/octet-stream"),
        ("noname", "application/octet-stream"),
    ],
)
def test_no_browser_is_told_that_a_file_is_a_page(name: str, told: str) -> None:
    assert type_of(name) == told.encode()


def test_the_head_keeps_a_browser_from_running_anything() -> None:
    for status in (200, 206, 304, 416):
        headers = dict(headers_of("a.svg", FilePart(status, 0, 5), 10, TAG))
        assert headers[b"content-security-policy"] == b"sandbox; default-src 'none'"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"etag"] == TAG
    assert dict(headers_of("a", FilePart(416), 10, b""))[b"content-range"] == b"bytes */10"


def test_a_name_of_any_letters_is_one_line_of_a_header() -> None:
    headers = dict(headers_of('ü"\r\nx: y;.txt', FilePart(200, 0, 1), 1, TAG))
    assert headers[b"content-disposition"] == (
        b"attachment; filename=\"____x_ y_.txt\"; filename*=UTF-8''%C3%BC%22%0D%0Ax%3A%20y%3B.txt"
    )


def test_tags_are_plain() -> None:
    assert tag_of('"d41d8"') == b'"d41d8"'
    assert tag_of('2026-01-01 00:00:00+00:00"\r\n') == b'"2026-01-0100:00:00+00:00"'
    assert tag_of("") == b""
