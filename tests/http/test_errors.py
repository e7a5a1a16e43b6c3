"""Error answers: one value, the same answer in each form."""

from __future__ import annotations

from typing import Any

import h11
import pytest

from penstock.http.errors import CLOSE, ErrorAnswer
from penstock.http.headers import header_lines

ANSWER = ErrorAnswer(429, b'{"message": "full"}', ((b"retry-after", b"2"), CLOSE))


async def sent(answer: ErrorAnswer) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(dict(message))

    await answer.send(send)
    return messages


def test_raw_bytes_are_a_whole_http_answer() -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "t")]))
    client.send(h11.EndOfMessage())
    client.receive_data(ANSWER.raw(b"date: today\r\n"))
    head, body, end = client.next_event(), client.next_event(), client.next_event()
    assert isinstance(head, h11.Response)
    assert (head.status_code, head.reason) == (429, b"Too Many Requests")
    assert list(head.headers) == [(b"date", b"today"), *ANSWER.all_headers]
    assert isinstance(body, h11.Data)
    assert bytes(body.data) == ANSWER.content
    assert isinstance(end, h11.EndOfMessage)


async def test_asgi_messages_and_a_starlette_response_say_the_same() -> None:
    start, body = await sent(ANSWER)
    assert start == {"type": "http.response.start", "status": 429, "headers": ANSWER.all_headers}
    assert body == {"type": "http.response.body", "body": ANSWER.content}
    response = ANSWER.response()
    assert (response.status_code, response.body) == (429, ANSWER.content)
    assert sorted(response.raw_headers) == sorted(ANSWER.all_headers)


def test_lines_are_the_headers_of_the_answer() -> None:
    assert ANSWER.lines == (
        b"content-type: application/json\r\ncontent-length: 19\r\nretry-after: 2\r\nconnection: close\r\n"
    )
    assert header_lines([]) == b""


@pytest.mark.parametrize(
    ("status", "line"), [(431, b"431 Request Header Fields Too Large"), (501, b"501 Not Implemented")]
)
def test_the_status_line_has_the_reason(status: int, line: bytes) -> None:
    answer = ErrorAnswer(status, b"no", (CLOSE,), media=b"text/plain")
    assert (
        answer.raw()
        == b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno" % line
    )
