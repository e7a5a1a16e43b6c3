"""Request bodies: read with a limit whatever their framing, unpacked with the same limit, and their media type; and how
to answer before one is read."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from starlette.types import Message, Receive, Scope, Send

from penstock.errors import InputTooLarge, MalformedInput, UnsupportedMedia
from penstock.serving.gateway import Gateway

MAX_BODY_BYTES = 64 * 1024 * 1024

# After a refusal the rest of the body is read and thrown away up to this factor of the limit, since a client that is
# cut off while it sends never sees the answer.
_DISCARD_FACTOR = 4


# A body that was not read and is no longer than this is left to the HTTP parser, which throws it away in passing; the
# connection lives on. For a longer one it is closed, a moment later: the client may still be sending, and the system
# answers bytes that nobody reads with a reset, which makes clients throw away the answer that they have.
LEFT_UNREAD = 64 * 1024
_LINGER_SECONDS = 1.0


# Where a request's headers are kept by name: a handful are looked up of each.
NAMED = "penstock.headers"

JSON = "application/json"


class ClientLeft(Exception):
    """The connection closed; nobody waits for an answer."""


class InflightHold:
    """One request's place in the gateway's intake, and the bytes of its body."""

    __slots__ = ("_gateway", "_intake", "bytes")

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._intake = gateway.intake
        self._intake.requests += 1
        self.bytes = 0

    def release(self) -> None:
        self._intake.requests -= 1
        self._intake.bytes -= self.bytes

    def take(self, more: int) -> None:
        """Holds so many bytes more. Raises Overloaded where there is no room for them."""
        if not self._intake.fits(more, self.bytes):
            raise self._gateway.overloaded("bytes")
        self._intake.bytes += more
        self.bytes += more


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a request header, the first where there are several; ASGI gives names in lower case."""
    named: dict[bytes, bytes] | None = scope.get(NAMED)
    if named is None:
        named = scope[NAMED] = dict(reversed(scope["headers"]))
    return named.get(name)


def any_header(scope: Scope, names: frozenset[bytes]) -> bool:
    """Whether the request has any of these headers."""
    header(scope, b"")
    return not names.isdisjoint(scope[NAMED])


def declared_length(scope: Scope) -> int:
    """The Content-Length; 0 where there is none."""
    declared = header(scope, b"content-length")
    return int(declared) if declared is not None and declared.isdigit() else 0


async def read_body(scope: Scope, receive: Receive, limit: int, hold: InflightHold | None = None) -> bytes:
    """The whole body. Raises InputTooLarge beyond `limit` bytes, Overloaded where `hold` finds no room, ClientLeft."""
    if (declared := declared_length(scope)) > limit:
        if header(scope, b"expect") is None:
            await _discard(receive, declared, limit)
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise _too_large(limit)
        if hold is not None:
            hold.take(len(body))
        return body
    if hold is not None:
        hold.take(len(body))
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
        if hold is not None:
            hold.take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def answer_unread(scope: Scope, receive: Receive, send: Send, start: Message, content: bytes) -> None:
    """Sends an answer whose request has a body that was not read to its end."""
    asks = header(scope, b"expect") is not None  # sends its body only when told to, which nobody does any more
    chunked = header(scope, b"transfer-encoding") is not None
    if not asks and not chunked and declared_length(scope) <= LEFT_UNREAD:
        await send(start)
        await send({"type": "http.response.body", "body": content})
        return
    await send({**start, "headers": [*start["headers"], (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": content, "more_body": not asks})
    if not asks:
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                await _discard(receive, 0, MAX_BODY_BYTES)
        except (TimeoutError, ClientLeft):
            pass
        await send({"type": "http.response.body", "body": b""})


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


async def unpack(scope: Scope, body: bytes, limit: int, hold: InflightHold | None = None) -> bytes:
    """The body without its Content-Encoding. Raises UnsupportedMedia, MalformedInput, InputTooLarge beyond `limit`,
    Overloaded where `hold` finds no room for what it has become."""
    encoding = header(scope, b"content-encoding")
    if encoding is None:
        return body
    for name in reversed(encoding.decode("latin-1").lower().split(",")):
        unpacker = _UNPACKERS.get(name.strip())
        if unpacker is None:
            raise UnsupportedMedia(
                f"Bodies with Content-Encoding {_shown(name.strip().encode())} are not read.",
                hint=f"Send it plain, or as {', '.join(n for n in _UNPACKERS if n and n != 'identity')}.",
            )
        # Libraries release the interpreter while they unpack, so the loop turns on.
        packed = len(body)
        if packed <= _UNPACKED_INLINE:
            body = unpacker(body, limit)
        else:
            body = await asyncio.get_running_loop().run_in_executor(_UNPACKING, unpacker, body, limit)
        if hold is not None and len(body) > packed:
            hold.take(len(body) - packed)
    return body


_UNPACKED_INLINE = 64 * 1024

# Threads of its own: those that all share may be waiting for a registry or a store that does not answer.
_UNPACKING = ThreadPoolExecutor(4, thread_name_prefix="penstock-unpack")


def _zlib(wbits: int) -> Callable[[bytes, int], bytes]:
    def unpack(body: bytes, limit: int) -> bytes:
        unpacker = zlib.decompressobj(wbits)
        try:
            plain = unpacker.decompress(body, limit + 1)
        except zlib.error as error:
            raise MalformedInput(f"The body is not what its Content-Encoding says: {error}.") from None
        if len(plain) > limit:
            raise _too_large(limit)
        if not unpacker.eof:
            raise MalformedInput("The compressed body ends too early.")
        return plain

    return unpack


def _zstd(body: bytes, limit: int) -> bytes:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise UnsupportedMedia("Bodies with Content-Encoding zstd are not read here.", hint="Use gzip.") from None
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body) as reader:
            plain: bytes = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise MalformedInput(f"The body is not what its Content-Encoding says: {error}.") from None
    if len(plain) > limit:
        raise _too_large(limit)
    return plain


def _plain(body: bytes, limit: int) -> bytes:
    return body


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "": _plain,
    "identity": _plain,
    "gzip": _zlib(zlib.MAX_WBITS | 16),
    "x-gzip": _zlib(zlib.MAX_WBITS | 16),
    "deflate": _zlib(zlib.MAX_WBITS),
    "zstd": _zstd,
}


def media_type(scope: Scope, readable: Iterable[str]) -> str:
    """The body's type, JSON where none is given. Raises UnsupportedMedia for a type that is not `readable`, and for
    parameters and charsets that are not read."""
    given = header(scope, b"content-type")
    if not given or given == b"application/json":
        return JSON
    kind, *parameters = given.decode("latin-1").split(";")
    kind = kind.strip().lower()
    if kind not in readable:
        raise UnsupportedMedia(
            f"Bodies of type {_shown(kind.encode())} are not read.", hint=f"Send {', '.join(readable)}."
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() not in ("", "charset"):
            raise UnsupportedMedia(f"The Content-Type parameter {_shown(name.strip().encode())} is not understood.")
        if name.strip() and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise UnsupportedMedia(f"Only UTF-8 is read, not {_shown(value.strip().encode())}.")
    return kind


def _shown(raw: bytes) -> str:
    return repr(raw.decode("latin-1")[:60])
