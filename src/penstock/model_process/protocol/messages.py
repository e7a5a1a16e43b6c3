"""The frames that gateway and model process exchange over a socket.

A frame is a head of fixed length, then a plan (JSON, see `payloads`), then a note (JSON: params, an error, …), then a
body of raw bytes. The head says how long each is, before anything is read; what claims to be longer than it may is
refused, not read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

# magic, version, kind, unused, id, length of plan, length of note, length of body, seconds
_HEAD = struct.Struct("<4sBBHIIIQd")
HEAD_SIZE = _HEAD.size
_MAGIC = b"PNSK"
VERSION = 1

MAX_PLAN = 16 << 20
MAX_NOTE = 64 << 20
MAX_BODY = 1 << 30
# Of an answer. A process that sends a longer one is taken for broken, so it does not send one.
MAX_ANSWER = 256 << 20

# Frames up to this size are joined into one piece before they are sent, and read many at a time.
_SMALL = 64 * 1024


class Kind(IntEnum):
    """What a frame is."""

    START = 1  # to the model process: what to load (note)
    PREDICT = 2  # to the model process: rows (plan, body) and params (note, empty for none)
    OPENED = 3  # from the model process, before any code of the package has run: its digest (note)
    STARTED = 4  # from the model process: loaded and proven (note)
    FAILED = 5  # from the model process: not to be served (note: the error)
    ANSWER = 6  # from the model process: rows (plan, body), and the seconds that the model took
    ERROR = 7  # from the model process: the error instead of an answer (note)


_KINDS = {int(kind): kind for kind in Kind}


class Malformed(ValueError):
    """Bytes that are no frame, or more of them than a frame may have."""


@dataclass(slots=True, eq=False)
class Frame:
    """One message. `id` ties an answer to its question."""

    kind: Kind
    id: int = 0
    plan: bytes = b""
    note: bytes = b""
    body: bytearray | None = None
    seconds: float = 0.0


def encode(
    kind: Kind,
    id: int = 0,
    *,
    plan: bytes = b"",
    note: bytes = b"",
    body: Sequence[Buffer] = (),
    seconds: float = 0.0,
) -> list[Buffer]:
    """A frame as the pieces to send, in order: one where it is small. Raises Malformed where it is too large."""
    size = sum(map(len, body)) if len(body) != 1 else len(body[0])
    if len(plan) > MAX_PLAN or len(note) > MAX_NOTE or size > (MAX_ANSWER if kind is Kind.ANSWER else MAX_BODY):
        raise Malformed(f"{size + len(note) + len(plan):,} bytes exceed the limit of one message")
    head = _HEAD.pack(_MAGIC, VERSION, kind, 0, id, len(plan), len(note), size, seconds)
    if size <= _SMALL:
        return [b"".join((head, plan, note, *body))]
    return [b"".join((head, plan, note)), *body]


class Incoming:
    """Bytes from a socket to frames: `room` is where the next ones go, `filled` says how many came.

    Small frames are read many at a time; the rest of a large one goes where it will stay.
    """

    def __init__(self, *, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        # The whole mutable state: the buffer with its bytes in use, and a large frame under way with how much is there.
        self._buffer = bytearray(2 * _SMALL)
        self._start = self._end = 0
        self._large: tuple[tuple[Kind, int, int, int, float], bytearray, bytearray] | None = None
        self._done = 0

    def room(self) -> memoryview:
        """Where bytes may be written; never empty."""
        if self._large is not None:
            _, texts, body = self._large
            done = self._done
            return memoryview(texts)[done:] if done < len(texts) else memoryview(body)[done - len(texts) :]
        return memoryview(self._buffer)[self._end :]

    def filled(self, count: int) -> list[Frame]:
        """So many bytes were written there; the frames that they complete. Raises Malformed."""
        if self._large is not None:
            self._done += count
            return self._finish_large()
        buffer, start, max_body = self._buffer, self._start, self._max_body
        self._end = end = self._end + count
        frames: list[Frame] = []
        while end - start >= HEAD_SIZE:  # once for every question and answer, so all in one place
            magic, version, number, _, id, plan, note, size, seconds = _HEAD.unpack_from(buffer, start)
            kind = _KINDS.get(number)
            if magic != _MAGIC or version != VERSION or kind is None:
                raise Malformed("data that is not a message")
            if plan > MAX_PLAN or note > MAX_NOTE or size > max_body:
                raise Malformed(f"a message of {plan + note + size:,} bytes, which exceeds the limit")
            at = start + HEAD_SIZE
            last = at + plan + note
            if end < last + size:
                if last + size - start > _SMALL:
                    self._start = start
                    return frames + self._begin_large(kind, id, plan, note, size, seconds)
                break
            noted = bytes(buffer[at + plan : last]) if note else b""
            frames.append(Frame(kind, id, bytes(buffer[at : at + plan]), noted, buffer[last : last + size], seconds))
            start = last + size
        if start == end:
            self._start = self._end = 0
        elif start > _SMALL:  # so that a whole small frame always fits behind
            rest = buffer[start:end]
            buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        else:
            self._start = start
        return frames

    def _begin_large(self, kind: Kind, id: int, plan: int, note: int, size: int, seconds: float) -> list[Frame]:
        texts, body = bytearray(plan + note), bytearray(size)
        here = memoryview(self._buffer)[self._start + HEAD_SIZE : self._end]
        texts[: min(len(here), len(texts))] = here[: len(texts)]
        rest = here[len(texts) :]
        body[: len(rest)] = rest
        self._done = len(here)
        self._start = self._end = 0
        self._large = (kind, id, plan, note, seconds), texts, body
        return self._finish_large()

    def _finish_large(self) -> list[Frame]:
        assert self._large is not None
        (kind, id, plan, _, seconds), texts, body = self._large
        if self._done < len(texts) + len(body):
            return []
        self._large = None
        return [Frame(kind, id, bytes(texts[:plan]), bytes(texts[plan:]), body, seconds)]
