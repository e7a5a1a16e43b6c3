"""Request bodies, read with a limit whatever their framing, and content types."""

from __future__ import annotations

from starlette.types import Receive, Scope

from penstock.errors import InputTooLarge, UnsupportedMedia

JSON = "application/json"
CSV = "text/csv"

MAX_BODY_BYTES = 64 * 1024 * 1024

# After a refusal the rest of the body is read and thrown away up to this factor of the limit, since a client that is
# cut off while it sends never sees the answer.
_DISCARD_FACTOR = 4


class ClientLeft(Exception):
    """The connection closed; nobody waits for an answer."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a request header; ASGI gives names in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return value  # type: ignore[no-any-return]
    return None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises InputTooLarge beyond `limit` bytes, ClientLeft."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        if header(scope, b"expect") is None:
            await _discard(receive, int(declared), limit)
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    chunks = [body]
    size = len(body)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            chunks.clear()
            if message.get("more_body", False):
                await _discard(receive, limit * _DISCARD_FACTOR - size, limit)
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _discard(receive: Receive, expected: int, limit: int) -> None:
    if expected > limit * _DISCARD_FACTOR:
        return
    left = limit * _DISCARD_FACTOR
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _too_large(limit: int) -> InputTooLarge:
    return InputTooLarge(
        f"The body is larger than the {limit:,} bytes that are accepted.", hint="Send fewer rows at a time."
    )


def media_type(scope: Scope) -> str:
    """The body's type, JSON where none is given. Raises UnsupportedMedia for types, charsets and encodings not read."""
    encoding = header(scope, b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMedia(f"Bodies with Content-Encoding {_shown(encoding)} are not read.", hint="Send it plain.")
    given = header(scope, b"content-type")
    if not given or given == b"application/json":
        return JSON
    kind, *parameters = given.decode("latin-1").split(";")
    kind = kind.strip().lower()
    if kind not in (JSON, CSV):
        raise UnsupportedMedia(f"Bodies of type {_shown(kind.encode())} are not read; {JSON} and {CSV} are.")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise UnsupportedMedia(f"Only UTF-8 is read, not {_shown(value.strip().encode())}.")
    return kind


def _shown(raw: bytes) -> str:
    return repr(raw.decode("latin-1")[:60])
