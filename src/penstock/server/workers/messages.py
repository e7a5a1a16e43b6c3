"""What supervisor and workers say to each other: JSON in frames over a socket pair, each one of a few small messages.

A frame is its length in four bytes, big-endian, then `{"is": "Ask", …}` with the message's fields. Plain data only: no
message can make its reader run anything.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, get_args

import orjson

# Metrics of thousands of versions fit; more is a broken peer.
_MOST_BYTES = 256 * 1024 * 1024


# -- supervisor to worker ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartWorker:
    """The first message: who the worker is, and the settings, which are not for a command line that others can read."""

    number: int
    settings: dict[str, Any]
    import_path: list[str]


@dataclass(frozen=True, slots=True)
class Ask:
    """Load and prove a version."""

    model: str
    version: str
    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Let these versions answer and stay warm; keep the candidate, drop all others."""

    model: str
    current: str | None
    previous: str | None
    candidate: str | None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the load under way, where that can be done: it is wanted no more."""

    model: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Show the model as stale, since the registry is away, or not any more."""

    model: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Note:
    """What keeps the wanted version of a model from answering, the fields of a LoadFailure; None where nothing does."""

    model: str
    failure: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Agree:
    """All workers answer with this version now."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Serve:
    """Serve one more model, which follows this alias."""

    model: str
    alias: str


@dataclass(frozen=True, slots=True)
class Unserve:
    """Serve this model no more; the answer is the same word, once it is gone."""

    model: str


@dataclass(frozen=True, slots=True)
class Begun:
    """This pattern has found and loaded what it could."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life is asked for; the answer is the same word."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Take connections from now on."""


@dataclass(frozen=True, slots=True)
class Company:
    """How many workers serve now, of how many."""

    serving: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Not ready from now on; accept for `delay` seconds more, finish what is in flight, and end."""

    delay: float


@dataclass(frozen=True, slots=True)
class Collect:
    """Report your numbers."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """The answer to Scrape: the metrics of all, in Prometheus' text format."""

    id: int
    text: str


# -- worker to supervisor ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """The worker is up, and takes orders."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A version that was asked for is loaded and proven."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A version that was asked for cannot be served; `code` is that of the error's class."""

    model: str
    version: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """A version's process in this worker has ended again and again while it answered; `why` is how."""

    model: str
    version: str
    why: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What was told is carried out: this version answers now."""

    model: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """The answer to Collect, and a worker's last word: its metrics, as tallies.to_plain gives them."""

    families: list[Any]


@dataclass(frozen=True, slots=True)
class Scrape:
    """Somebody asks this worker for the metrics of all."""

    id: int


Message: TypeAlias = (
    StartWorker
    | Ask
    | Tell
    | Stop
    | Mark
    | Note
    | Agree
    | Serve
    | Unserve
    | Begun
    | Beat
    | Accept
    | Company
    | Drain
    | Collect
    | Exposition
    | WorkerStarted
    | Proven
    | Failed
    | GaveUp
    | Answers
    | Numbers
    | Scrape
)
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """A message as a frame."""
    body = orjson.dumps({"is": type(message).__name__, **asdict(message)})
    return len(body).to_bytes(4, "big") + body


def decode(body: bytes) -> Message:
    """The message in a frame's body. Raises ValueError for what is none."""
    fields = orjson.loads(body)
    if not isinstance(fields, dict) or (kind := _KINDS.get(str(fields.pop("is", None)))) is None:
        raise ValueError(f"no such message: {body[:80]!r}")
    try:
        return kind(**fields)
    except TypeError as error:
        raise ValueError(str(error)) from None


class Channel:
    """One end of a socket pair. Iterating ends when the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """Takes the socket over."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: Message) -> None:
        """Hands the message over, in order, without waiting. To a peer that is gone it says nothing."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def receive(self) -> Message | None:
        """The next message, None at the end. Raises ValueError for what is none."""
        try:
            length = int.from_bytes(await self._reader.readexactly(4), "big")
            if length > _MOST_BYTES:
                raise ValueError(f"a message of {length:,} bytes")
            return decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self.receive()) is not None:
            yield message

    async def close(self) -> None:
        """Sends what is still to be sent, and closes."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return
