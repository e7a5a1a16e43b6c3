"""Error answers: a status, a body and headers, written once for every place that an answer leaves from.

An error may be met at each depth of a server: in the bytes of a connection, before there is a request; in an ASGI
endpoint; in a handler that gives Starlette a response. The answer is the same at each of them, and only its form
differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Message, Send

from penstock.http.headers import Header, header_lines

JSON = b"application/json"

# For an answer whose request has a body that nobody reads: what comes after the answer would be taken for a request.
CLOSE: Header = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What a caller is answered. `headers` are those beside the body's type and length, `media` is the body's type."""

    status: int
    content: bytes
    headers: tuple[Header, ...] = ()
    media: bytes = JSON

    @property
    def all_headers(self) -> list[Header]:
        """The headers of the answer, the body's first."""
        length = str(len(self.content)).encode()
        return [(b"content-type", self.media), (b"content-length", length), *self.headers]

    @property
    def lines(self) -> bytes:
        """The same headers as lines."""
        return header_lines(self.all_headers)

    @property
    def status_line(self) -> bytes:
        return b"HTTP/1.1 %d %b\r\n" % (self.status, HTTPStatus(self.status).phrase.encode())

    def raw(self, lines: bytes = b"") -> bytes:
        """The whole answer as bytes for a connection; `lines` are headers that the server adds of its own."""
        return b"%b%b%b\r\n%b" % (self.status_line, lines, self.lines, self.content)

    @property
    def start(self) -> Message:
        """The first of the two ASGI messages."""
        return {"type": "http.response.start", "status": self.status, "headers": self.all_headers}

    async def send(self, send: Send) -> None:
        """Answers an ASGI request."""
        await send(self.start)
        await send({"type": "http.response.body", "body": self.content})

    def response(self) -> Response:
        """What a handler of Starlette's returns."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        return Response(self.content, self.status, headers, media_type=self.media.decode())
