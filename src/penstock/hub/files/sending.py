"""A file sent as the answer to a request, in constant memory, for as long as somebody reads it."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Send

from penstock.errors import ArtifactNotFound
from penstock.http.connection.raw_transfer import LEAST_BYTES, cycle_of, send_raw
from penstock.hub.context import HubContext
from penstock.hub.files.parts import headers_of, part_of, tag_of
from penstock.hub.files.places import FilePlace
from penstock.hub.requests import HubRequest

# Bytes read and sent at once. A client that reads slowly holds about two of these.
_PIECE = 256 * 1024


async def send_file(hub: HubContext, place: FilePlace, request: HubRequest, receive: Receive, send: Send) -> None:
    """Raises ArtifactNotFound, TrackingInvalid for a directory, and what the store's tree raises."""
    if not place.path and place.is_ours:
        raise ArtifactNotFound("No such artifact: the path is empty.")
    opened = await hub.work.run(place.tree.open, place.path)
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        tag = tag_of(opened.mark)
        part = part_of(request.scope, opened.size, tag)
        name = place.path.rpartition("/")[2]
        headers = headers_of(name, part, opened.size, tag)
        await send({"type": "http.response.start", "status": part.status, "headers": headers})
        left = 0 if request.method == "HEAD" else part.length
        cycle = cycle_of(request.scope) if opened.is_local and left >= LEAST_BYTES else None
        if cycle is not None:
            await send_raw(cycle, opened.file, part.first, left, hub.work.run)
            hub.metrics.sent.inc(left)
            left = 0
        if left and part.first:
            await hub.work.run(opened.file.seek, part.first)
        while left > 0 and not gone.done():
            piece = await hub.work.run(opened.file.read, min(_PIECE, left))
            if not piece:
                raise OSError(f"{place.path} became shorter while it was sent")
            left -= len(piece)
            hub.metrics.sent.inc(len(piece))
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        await hub.work.run(opened.file.close)


async def _until_gone(receive: Receive) -> None:
    """Returns when the client has left: what nobody reads need not be read here, either."""
    while (await receive())["type"] != "http.disconnect":
        pass
