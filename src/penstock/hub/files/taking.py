"""A file taken in as the body of a request, in constant memory: it is there once all of it is, and else not at all."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import BinaryIO

from starlette.types import Receive, Scope

from penstock.errors import TrackingInvalid
from penstock.http.bodies import ClientLeft, patient
from penstock.http.connection.raw_transfer import LEAST_BYTES, cycle_of, receive_raw
from penstock.http.headers import declared_length, header
from penstock.hub.context import HubContext
from penstock.hub.files.places import FilePlace
from penstock.registry.refusals import refuse_registered

# Bytes that are collected before they are written.
_PIECE = 1024 * 1024


async def take_file(hub: HubContext, place: FilePlace, receive: Receive, scope: Scope | None = None) -> None:
    """With its scope, a long body goes past the event loop. Raises ArtifactRegistered, also where a version is
    registered while the file comes; ClientLeft, InputTooSlow."""
    if not place.path:
        raise TrackingInvalid("The path of the artifact is missing.", field="path")
    # Now rather than after the whole file has come, and again when it is to appear.
    refuse_registered(place.known_as, await hub.stores.read(hub.stores.registry.containing, place.known_as))
    new = place.tree.new(place.path)
    file = await hub.work.run(new.__enter__)
    try:
        await _write_all(hub, file, receive, scope)
        async with hub.work.change():
            appear = partial(new.__exit__, None, None, None)
            await hub.work.run(hub.stores.registry.change_files, place.known_as, appear)
    except BaseException as error:
        await hub.work.run(new.__exit__, type(error), error, error.__traceback__)
        raise


async def _write_all(hub: HubContext, file: BinaryIO, receive: Receive, scope: Scope | None) -> None:
    """One piece is written while the next one comes."""
    length = 0 if scope is None or header(scope, b"transfer-encoding") is not None else declared_length(scope)
    cycle = cycle_of(scope) if scope is not None and length >= LEAST_BYTES else None
    receive = patient(receive, "file")
    writing: asyncio.Future[None] | None = None
    pieces: list[bytes] = []
    size, more = 0, True
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            more = message.get("more_body", False)
            if cycle is not None and more:
                await hub.work.run(_write, file, pieces)
                hub.metrics.received.inc(size)
                await receive_raw(cycle, file, length - size, hub.work.run, hub.metrics.received.inc)
                return
            if size >= _PIECE or not more:
                if writing is not None:
                    await writing
                hub.metrics.received.inc(size)
                writing = asyncio.ensure_future(hub.work.run(_write, file, pieces))
                pieces, size = [], 0
    finally:
        if writing is not None:
            await writing


def _write(file: BinaryIO, pieces: list[bytes]) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[file.write(view) :]
