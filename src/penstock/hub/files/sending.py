"""A file sent as the answer to a request, in constant memory, for as long as somebody reads it."""

from __future__ import annotations

import asyncio
from time import perf_counter

from starlette.types import Receive, Send

from penstock.artifacts.trees import OpenedFile
from penstock.errors import ArtifactNotFound
from penstock.http.bodies import ClientLeft
from penstock.http.connection.raw_transfer import LEAST_BYTES, PATIENCE, cut, cycle_of, send_raw
from penstock.hub.context import HubContext
from penstock.hub.files.parts import FilePart, headers_of, part_of, tag_of
from penstock.hub.files.places import FilePlace
from penstock.hub.requests import HubRequest

# Bytes read and sent at once: the least, for clients that read slowly and hold two of these, and the most, since each
# is a request to a store.
_LEAST, _MOST = 512 * 1024, 4 * 1024 * 1024

# A client that takes pieces in less than so many seconds is given larger ones, after so many bytes: the buffers of two
# systems take the first few, however slow it is.
_FAST_SECONDS, _FAST_BYTES = 0.1, 8 * 1024 * 1024


async def send_file(hub: HubContext, place: FilePlace, request: HubRequest, receive: Receive, send: Send) -> None:
    """Raises ArtifactNotFound, TrackingInvalid for a directory, and what the store's tree raises."""
    if not place.path and place.is_ours:
        raise ArtifactNotFound("No such artifact: the path is empty.")
    opened = await hub.work.run(place.tree.open, place.path)
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        tag = tag_of(opened.mark)
        part = part_of(request.scope, opened.size, tag)
        headers = headers_of(place.path.rpartition("/")[2], part, opened.size, tag)
        start = {"type": "http.response.start", "status": part.status, "headers": headers}
        length = 0 if request.method == "HEAD" else part.length
        cycle = cycle_of(request.scope) if opened.is_local and length >= LEAST_BYTES else None
        if cycle is not None:
            await send(start)
            await send_raw(cycle, opened.file, part.first, length, hub.work.run)
            hub.metrics.sent.inc(length)
        elif length:
            pieces = _Pieces(hub, opened, part)
            try:
                await pieces.send(send, start, gone)
            except TimeoutError:  # a client that takes nothing
                if (cycle := cycle_of(request.scope)) is not None:
                    cut(cycle)
                raise ClientLeft from None
            finally:
                await pieces.close()
        else:
            await send(start)
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        await hub.work.run(opened.file.close)


class _Pieces:
    """A part of a file, read a piece ahead of what is sent."""

    def __init__(self, hub: HubContext, opened: OpenedFile, part: FilePart) -> None:
        self._hub = hub
        self._opened = opened
        self._first = part.first
        # The whole mutable state: bytes that have not been asked for, those taken fast, how many are asked for at once,
        # and the next.
        self._left = part.length
        self._taken_fast = 0
        self._size = _LEAST
        self._reading = self._ask()

    async def send(self, send: Send, start: dict[str, object], gone: asyncio.Future[None]) -> None:
        """Sends the head once the first piece is there: a store that fails until then is told by a status. Raises
        TimeoutError where the client takes nothing for too long."""
        piece = await self._reading
        await send(start)
        while not gone.done():
            more = self._left > 0
            if more:
                self._reading = self._ask()
            self._hub.metrics.sent.inc(len(piece))
            began = perf_counter()
            async with asyncio.timeout(PATIENCE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not more:
                break
            fast = perf_counter() - began < _FAST_SECONDS
            self._taken_fast = self._taken_fast + len(piece) if fast else 0
            self._size = min(2 * self._size, _MOST) if self._taken_fast > _FAST_BYTES else _LEAST
            piece = await self._reading

    async def close(self) -> None:
        """What is read is waited for: the file is about to be closed."""
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.exception()

    def _ask(self) -> asyncio.Future[bytes]:
        size = min(self._size, self._left)
        self._left -= size
        return asyncio.ensure_future(self._hub.work.run(self._read, size))

    def _read(self, size: int) -> bytes:
        if self._first:
            self._opened.file.seek(self._first)
            self._first = 0
        pieces: list[bytes] = []
        while size:
            pieces.append(self._opened.file.read(size))
            size -= len(pieces[-1])
            if not pieces[-1]:
                raise OSError("the file became shorter while it was sent")
        return b"".join(pieces)


async def _until_gone(receive: Receive) -> None:
    """Returns when the client has left: what nobody reads need not be read here, either."""
    while (await receive())["type"] != "http.disconnect":
        pass
