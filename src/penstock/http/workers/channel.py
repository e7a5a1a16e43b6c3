"""A channel between a supervisor and one of its workers: JSON in frames over a socket pair, each one a small message.

A frame is its length in four bytes, big-endian, then `{"is": "Drain", …}` with the message's fields. Plain data: no
message can make its reader run anything. Which messages there are is the Vocabulary that it is given.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, fields, is_dataclass
from typing import Any, ClassVar, Protocol, get_args, get_type_hints

import orjson

from penstock.error_text import encodable

# Metrics of thousands of versions fit; more is a broken peer.
MAX_BYTES = 256 * 1024 * 1024


class WorkerMessage(Protocol):
    """A frozen dataclass of plain fields, or of such dataclasses."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Vocabulary:
    """The message types that a channel carries, by their names."""

    def __init__(self, kinds: Iterable[type[WorkerMessage]]) -> None:
        self._readers = {kind.__name__: _reader_of(kind) for kind in kinds}

    @property
    def names(self) -> list[str]:
        return sorted(self._readers)

    def encode(self, message: WorkerMessage) -> bytes:
        """A message as a frame. Raises ValueError for a type that is not in the vocabulary."""
        name = type(message).__name__
        if name not in self._readers:
            raise ValueError(f"unknown message: {name}")
        body = _dump({"is": name, **asdict(message)})
        return len(body).to_bytes(4, "big") + body

    def decode(self, body: bytes) -> WorkerMessage:
        """The message in a frame's body. Raises ValueError for what is none."""
        found = _load(body)
        if not isinstance(found, dict) or (read := self._readers.get(str(found.pop("is", None)))) is None:
            raise ValueError(f"unknown message: {body[:80]!r}")
        try:
            return read(found)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def __repr__(self) -> str:
        return f"<Vocabulary {', '.join(self.names)}>"


def _dump(plain: dict[str, Any]) -> bytes:
    """JSON; where orjson refuses, for a whole number past 64 bits or half a character, as escapes by Python's own."""
    try:
        return orjson.dumps(plain)
    except orjson.JSONEncodeError:
        return json.dumps(plain, default=encodable).encode()


def _load(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)


def _reader_of(kind: type[WorkerMessage]) -> Callable[[dict[str, Any]], WorkerMessage]:
    """Makes a message of a JSON object; fields that are dataclasses themselves (or None) are made of objects inside."""
    hints = get_type_hints(kind)
    inner: dict[str, Callable[..., Any]] = {}
    for field in fields(kind):
        hint = hints[field.name]
        for option in (hint, *get_args(hint)):
            if isinstance(option, type) and is_dataclass(option):
                inner[field.name] = option

    def read(found: dict[str, Any]) -> WorkerMessage:
        for name, made in inner.items():
            if found.get(name) is not None:
                found[name] = made(**found[name])
        return kind(**found)

    return read


class Channel:
    """One end of a socket pair. Iterating ends when the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, vocabulary: Vocabulary) -> None:
        self._reader = reader
        self._writer = writer
        self._vocabulary = vocabulary

    @classmethod
    async def over(cls, end: socket.socket, vocabulary: Vocabulary) -> Channel:
        """Takes the socket over."""
        return cls(*await asyncio.open_unix_connection(sock=end), vocabulary)

    def send(self, message: WorkerMessage) -> None:
        """Hands the message over, in order, without waiting. Does nothing once the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(self._vocabulary.encode(message))

    async def receive(self) -> WorkerMessage | None:
        """The next message, None at the end. Raises ValueError for what is none."""
        try:
            length = int.from_bytes(await self._reader.readexactly(4), "big")
            if length > MAX_BYTES:
                raise ValueError(f"a message of {length:,} bytes")
            return self._vocabulary.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def __aiter__(self) -> AsyncIterator[WorkerMessage]:
        while (message := await self.receive()) is not None:
            yield message

    async def close(self) -> None:
        """Sends what is still to be sent, and closes."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return
