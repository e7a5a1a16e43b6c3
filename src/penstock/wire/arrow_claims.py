"""What an Arrow stream claims to hold: counted from the heads of its messages, before anything is decompressed.

Source: Arrow's columnar format (IPC), Message.fbs and Schema.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from penstock.wire.budget import Budget
from penstock.wire.flat_table import FlatTable

_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_PLAIN_TYPES = frozenset((2, 3, 6))  # whole numbers, floats, booleans
# What is read on an event loop: pandas takes its time for each column.
_MOST_PLAIN_COLUMNS, _MOST_PLAIN_BATCHES = 256, 64


@dataclass(frozen=True, slots=True)
class _Message:
    kind: int
    head: FlatTable
    body: memoryview


def stream_of(body: bytes) -> memoryview:
    """The stream that a file is around: its messages without magic and footer. Raises ValueError."""
    if not body.startswith(b"ARROW1"):
        return memoryview(body)
    if len(body) < 18 or not body.endswith(b"ARROW1"):
        raise ValueError("the file has no end")
    end = len(body) - 10 - struct.unpack_from("<i", body, len(body) - 10)[0]
    if not 8 <= end <= len(body) - 10:
        raise ValueError("the file has no footer")
    return memoryview(body)[8:end]


def check_claims(body: bytes, budget: Budget) -> None:
    """Raises InputTooLarge where an Arrow stream or file says that it unfolds to more than the budget has, ValueError
    for one that no reader should see."""
    for message in _messages(stream_of(body)):
        if message.kind != _SCHEMA:
            cells, size = _claims(message)
            budget.spend_cells(cells)
            budget.spend_bytes(size)


def is_plain_numbers(body: bytes) -> bool:
    """Whether an Arrow stream or file holds numbers and booleans of a fixed width, uncompressed, and nothing else: what
    may be read on an event loop where it is small."""
    try:
        messages = list(_messages(stream_of(body)))
        if not messages or messages[0].kind != _SCHEMA or len(messages) > _MOST_PLAIN_BATCHES:
            return False
        fields = messages[0].head.tables(1)
        plain = all(f.number(2, "<B") in _PLAIN_TYPES and not f.has(4) and not f.vector(5, 4)[1] for f in fields)
        if not 0 < len(fields) <= _MOST_PLAIN_COLUMNS or not plain:
            return False
        for message in messages[1:]:
            if message.kind != _BATCH or message.head.has(3):
                return False
            cells, _ = _claims(message)
            if cells > 8 * (len(fields) + len(body)):
                return False
    except ValueError:
        return False
    return True


def _messages(stream: memoryview) -> Iterator[_Message]:
    at = 0
    while at + 4 <= len(stream):
        (length,) = struct.unpack_from("<i", stream, at)
        at += 4
        if length == -1:  # marks a message since Arrow 0.15
            if at + 4 > len(stream):
                raise ValueError("a message is cut short")
            (length,) = struct.unpack_from("<i", stream, at)
            at += 4
        if length == 0:
            return
        if not 0 < length <= len(stream) - at:
            raise ValueError("a message is cut short")
        message = FlatTable.root(stream[at : at + length])
        at += length
        size = message.number(3, "<q")
        kind = message.number(1, "<B")
        if not 0 <= size <= len(stream) - at or kind not in (_SCHEMA, _DICTIONARY, _BATCH):
            raise ValueError("a message is cut short, or of an unknown kind")
        yield _Message(kind, message.table(2), stream[at : at + size])
        at += size


def _claims(message: _Message) -> tuple[int, int]:
    """The cells and bytes that a batch says it has. Raises ValueError for lengths that cannot be."""
    batch = message.head.table(1) if message.kind == _DICTIONARY else message.head
    rows = batch.number(0, "<q")
    nodes, buffers = (_pairs(batch, field) for field in (1, 2))
    if rows < 0 or (nodes[:, 0] < 0).any() or (buffers < 0).any():
        raise ValueError("a batch has a negative length")
    cells = max(rows, sum(nodes[:, 0].tolist()))
    if not batch.has(3):
        return cells, sum(buffers[:, 1].tolist())
    size = 0
    for offset, length in buffers.tolist():
        if offset + length > len(message.body):
            raise ValueError("a buffer ends outside of its batch")
        if length >= 8:
            (plain,) = struct.unpack_from("<q", message.body, offset)
            if plain < -1:
                raise ValueError("a buffer has a negative length")
            size += length - 8 if plain == -1 else plain
    return cells, size


def _pairs(batch: FlatTable, field: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    start, count = batch.vector(field, 16)
    return np.frombuffer(batch.data, "<i8", 2 * count, start).reshape(-1, 2) if count else np.empty((0, 2), np.int64)
