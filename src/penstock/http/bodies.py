"""Request bodies: read with a limit whatever their framing; and how to answer before one is read."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from penstock.defaults import MAX_BODY_BYTES
from penstock.errors import InputTooLarge, InputTooSlow
from penstock.http.headers import declared_length, header
from penstock.machine.memory_file import MemoryFile

# After a refusal the rest of the body is read and thrown away up to this factor of the limit, since a client that is
# cut off while it sends never sees the answer.
_DISCARD_FACTOR = 4


# A body that was not read and is no longer than this is left to the HTTP parser, which throws it away in passing; the
# connection lives on. For a longer one it is closed, a moment later: the client may still be sending, and the system
# answers bytes that nobody reads with a reset, which makes clients throw away the answer that they have.
LEFT_UNREAD = 64 * 1024
_LINGER_SECONDS = 1.0

# How long a client may send nothing in the middle of a body, where no deadline of its own ends the request.
PATIENCE = 120.0


class ClientLeft(Exception):
    """The connection closed; nobody waits for an answer."""


class BodyHold(Protocol):
    """One request's share of the bytes that a server may hold at once."""

    def take(self, more: int, /) -> None:
        """Holds so many bytes more. Raises Overloaded where there is no room for them."""


async def read_body(
    scope: Scope, receive: Receive, limit: int, hold: BodyHold | None = None, *, spool_above: float = inf
) -> bytes | MemoryFile:
    """The whole body; one of more than `spool_above` bytes in a file in memory, which is the caller's to close. Raises
    InputTooLarge beyond `limit` bytes, Overloaded where `hold` finds no room, ClientLeft."""
    if (declared := declared_length(scope)) > limit:
        if header(scope, b"expect") is None:
            await _discard(receive, declared, limit)
        raise too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise too_large(limit)
        if hold is not None:
            hold.take(len(body))
        return body
    if hold is not None:
        hold.take(len(body))
    spool = _Spool(body, spool_above)
    size = len(body)
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                spool.close()
                if message.get("more_body", False):
                    await _discard(receive, limit * _DISCARD_FACTOR - size, limit)
                raise too_large(limit)
            if hold is not None:
                hold.take(len(chunk))
            spool.add(chunk)
            if not message.get("more_body", False):
                return spool.whole()
    except BaseException:
        spool.close()
        raise


def patient(receive: Receive, what: str) -> Receive:
    """The same, which does not wait for ever: raises InputTooSlow where nothing comes for PATIENCE seconds. `what` is
    the name of what is being sent."""

    async def within() -> Message:
        try:
            async with asyncio.timeout(PATIENCE):
                return await receive()
        except TimeoutError:
            raise InputTooSlow(f"Nothing of the {what} came for {PATIENCE:.0f} seconds.") from None

    return within


class _Spool:
    """A body that comes in chunks: kept as they are, and past so many bytes in a file, which takes no second copy."""

    def __init__(self, chunk: bytes, above: float) -> None:
        self._above = above
        # The whole mutable state: chunks that are in no file, their length, and the file.
        self._chunks = [chunk]
        self._size = len(chunk)
        self._file: MemoryFile | None = None

    def add(self, chunk: bytes) -> None:
        if self._file is not None:
            self._file.write([chunk])
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > self._above:
            self._file = MemoryFile()
            self._file.write(self._chunks)
            self._chunks.clear()

    def whole(self) -> bytes | MemoryFile:
        if self._file is None:
            return b"".join(self._chunks)
        return self._file

    def close(self) -> None:
        self._chunks.clear()
        if self._file is not None:
            self._file.close()


async def answer_unread(scope: Scope, receive: Receive, send: Send, start: Message, content: bytes) -> None:
    """Sends an answer whose request has a body that was not read to its end."""
    asks = header(scope, b"expect") is not None  # sends its body only when asked to, which nobody does any more
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


def too_large(limit: int) -> InputTooLarge:
    """The refusal of a body of more than `limit` bytes."""
    return InputTooLarge(
        f"The body is larger than the limit of {limit:,} bytes.", hint="Send fewer rows in one request."
    )
