"""What gateway, fork server and readers say to each other: JSON objects in packets, with open files beside them.

What a reader says is checked before anything is made of it: it has read a stranger's body.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, Literal, TypeAlias, TypeVar

from penstock.machine.memory_file import MemoryFile

# The longest packet, and the most files beside one.
_MAX_PACKET = 64 * 1024
_MAX_FILES = 2

# Libraries that take long to import, and that not every reader needs.
LIBRARIES = ("pandas", "pyarrow")

Kind: TypeAlias = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class ReaderTask:
    """What a reader is to do with a file: read a body, or write an answer whose payload has a plan of `plan` bytes
    behind its arrays. `codec` is the number of a codec, which comes in a file of its own before its first use;
    `encodings` are those of the Content-Encoding header; `state` is what the protocol remembers of the request. What it
    may take is said by `timeout` and `memory`, as in `ReaderLimits`; a body may unpack to `max_bytes`.
    """

    kind: Kind
    codec: int
    media: str
    timeout: float
    memory: int
    max_bytes: int = 0
    encodings: tuple[str, ...] = ()
    plan: int = 0
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of a task: a file with a payload's arrays or an answer, then `plan` and `note` bytes. `note` is
    params and state of a request that was read, the media type of an answer, or the error, where it `failed`; that may
    be because it was `out_of_memory`. `size` is the body's without its encodings. A reader that is `retiring` takes no
    further task; `imported` are libraries that it had to import, and that the next readers should be forked with."""

    failed: bool
    plan: int
    note: int
    size: int = 0
    seconds: float = 0.0
    retiring: bool = False
    out_of_memory: bool = False
    imported: tuple[str, ...] = ()


M = TypeVar("M", ReaderTask, Outcome)


def packed(message: ReaderTask | Outcome) -> bytes:
    return json.dumps(asdict(message)).encode()


def parse(kind: type[M], packet: bytes) -> M:
    """The message in a packet. Raises ValueError."""
    try:
        message = kind(**json.loads(packet))
        if isinstance(message, Outcome):
            _check(message)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"invalid message: {error}") from None
    return message


def _check(message: Outcome) -> None:
    """Raises ValueError or TypeError for what no reader of ours says."""
    counts = (message.plan, message.note, message.size)
    if not all(type(count) is int and 0 <= count < 1 << 40 for count in counts):
        raise ValueError("invalid message: lengths that are none")
    flags = (message.failed, message.retiring, message.out_of_memory)
    if (
        type(message.seconds) is not float
        or not 0 <= message.seconds < inf
        or not all(isinstance(flag, bool) for flag in flags)
    ):
        raise ValueError("invalid message: values of another kind")
    if not set(message.imported) <= set(LIBRARIES):
        raise ValueError("invalid message: unknown libraries")


def send(sock: socket.socket, packet: bytes, files: list[int]) -> None:
    """Raises OSError; ValueError for a packet that is too long."""
    if len(packet) > _MAX_PACKET:
        raise ValueError(f"a message of {len(packet):,} bytes")
    socket.send_fds(sock, [packet], files)


def receive(sock: socket.socket) -> tuple[bytes, list[MemoryFile]] | None:
    """The next packet and the files beside it; None when the other side has ended. Raises OSError."""
    packet, fds = receive_fds(sock)
    return (packet, [MemoryFile(fd) for fd in fds]) if packet or fds else None


def receive_fds(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet and the descriptors beside it, not inherited by programs that are started; an empty packet when
    the other side has ended. Where this process may open no more files, some are missing. Raises OSError."""
    packet, fds, flags, _ = socket.recv_fds(sock, _MAX_PACKET, _MAX_FILES, socket.MSG_CMSG_CLOEXEC)
    if flags & socket.MSG_TRUNC:
        for fd in fds:
            os.close(fd)
        raise OSError("a message that is too long")
    return packet, list(fds)
