"""Large JSON bodies a piece at a time: rows are parsed by the megabyte, made arrays of, and forgotten.

A parsed number takes ten times its text; the array of it takes little more than the text. Where a piece may begin is
guessed by the brackets between two rows. That a piece parses on its own, as whole rows, proves that it does begin and
end between rows, one after the other: whatever is not read so is left to be read whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from penstock.errors import InputTooLarge, MalformedInput
from penstock.payload import Payload, Table, Tensors, join
from penstock.wire.json_sizes import MAX_NESTING
from penstock.wire.mlflow.invocations import ENVELOPES, envelope_of, is_unwrapped, parse_json

# Shorter bodies are read whole.
LARGE = 4 << 20
_PIECE = 1 << 20
# What may stand before and behind the rows.
_MOST_AROUND = 1 << 20

_START = re.compile(rb'"(?:dataframe_records|inputs|instances|data)"\s*:\s*(?=\[\s*[\[{])')
_OPENING = re.compile(rb"\[\s*(?P<first>\{|(?:\[\s*)+)")


@dataclass(frozen=True, slots=True)
class RowPieces:
    """A body whose rows are read in pieces. `document` is all the rest of it, with no rows under `envelope`, and
    `around` its text."""

    envelope: str
    document: dict[str, Any]
    around: bytes
    body: bytes
    start: int
    between: re.Pattern[bytes]
    last: list[Any]

    @classmethod
    def of(cls, body: bytes) -> RowPieces | None:
        """None for a body that has to be read whole."""
        head = _START.search(body, 0, _MOST_AROUND)
        opening = _OPENING.match(body, head.end()) if head is not None else None
        if opening is None:
            return None
        if (depth := opening["first"].count(b"[")) > MAX_NESTING:
            return None
        between = _between(depth or "{")
        start = opening.start() + 1
        *_, (behind, _) = _spans(body, start, between)
        if (ending := _last_rows(body[behind:])) is None:
            return None
        last, rest = ending
        head_text = body[: start - 1]
        if (document := _around(head_text, rest)) is None:
            return None
        return cls(envelope_of(document), document, b"%b[]%b" % (head_text, rest), body, start, between, last)

    def rows(self) -> Iterator[list[Any]]:
        """The rows, some at a time. Raises MalformedInput where a piece is none."""
        for begin, end in _spans(self.body, self.start, self.between):
            if end < 0:
                yield self.last
                return
            rows = parse_json(b"[%b]" % self.body[begin:end])
            if not isinstance(rows, list) or not rows:
                raise MalformedInput("The rows are in no pieces.")
            yield rows

    def of_rows(self, rows: list[Any]) -> Any:
        """The envelope's value with these rows alone."""
        value = self.document[self.envelope]
        return {**value, "data": rows} if isinstance(value, dict) else rows


def _between(depth: int | str) -> re.Pattern[bytes]:
    """What stands between two rows that begin with so many brackets, or with a brace; the comma is its group."""
    if isinstance(depth, str):
        return re.compile(rb"\}\s*(,)\s*\{")
    return re.compile(rb"\s*".join([rb"\]"] * depth) + rb"\s*(,)\s*" + rb"\s*".join([rb"\["] * depth))


def _spans(body: bytes, start: int, between: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """Where pieces begin and end; the last one's end is not known, and -1."""
    while (found := between.search(body, start + _PIECE)) is not None:
        yield start, found.start(1)
        start = found.end(1)
    yield start, -1


def _last_rows(text: bytes) -> tuple[list[Any], bytes] | None:
    """The rows of the last piece, and the text behind the bracket that ends them."""
    if len(text) > _PIECE + _MOST_AROUND:
        return None
    try:
        decoded = "[" + text.decode()
        _, end = json.JSONDecoder().raw_decode(decoded)
        rows = parse_json(decoded[:end].encode())
    except (ValueError, RecursionError, MalformedInput):
        return None
    return rows, decoded[end:].encode()


def _around(head: bytes, rest: bytes) -> dict[str, Any] | None:
    """The document with no rows. They stand where they should if what is put in their place is found there."""
    for probe in (0, 1):
        try:
            document = parse_json(b"%b[%d]%b" % (head, probe, rest))
            envelope = envelope_of(document) if isinstance(document, dict) and not is_unwrapped(document) else ""
        except MalformedInput:
            return None
        if envelope not in ENVELOPES:
            return None
        value = document[envelope]
        if envelope == "dataframe_split" and isinstance(value, dict) and value.keys() <= {"columns", "data"}:
            value = value.get("data")
        if value != [probe] or type(value[0]) is not int:
            return None
    return document  # type: ignore[no-any-return]


def read_in_pieces(pieces: RowPieces, read: Callable[[Any], Payload | None], *, mixed: bool) -> Payload | None:
    """What `read` makes of each piece's value, put together; None where it makes nothing of one, or things that do not
    belong together. `mixed` is whether whole numbers in one piece may stand beside floats in another."""
    parts, orders = [], set()
    try:
        for rows in pieces.rows():
            if (part := read(pieces.of_rows(rows))) is None:
                return None
            parts.append(part)
            orders.add(_unsaid_names(part, rows))
    except (MalformedInput, InputTooLarge):  # whoever reads it whole has the words
        return None
    if len(orders) > 1:
        return None
    if len({part.layout for part in parts}) == 1:
        return join(parts)
    return _widened(parts) if mixed else None


def _unsaid_names(part: Payload, rows: list[Any]) -> tuple[Any, ...]:
    """The names of records' columns where an array is made of them, which says nothing of their order."""
    if not isinstance(part, Tensors) or part.names is not None or not isinstance(rows[0], dict):
        return ()
    return tuple(dict.fromkeys(chain.from_iterable(rows)))


def _widened(parts: Sequence[Payload]) -> Payload | None:
    """The same with floats where there are floats as well as whole numbers; None where more than that differs."""
    first = parts[0]
    if isinstance(first, Table) and all(isinstance(part, Table) and part.names == first.names for part in parts):
        tables: list[Any] = list(parts)
        if len({table.width for table in tables}) > 1:
            return None
        columns = [_numbers([table.column(i) for table in tables]) for i in range(first.width)]
        return None if any(column is None for column in columns) else Table.of(first.names, columns)
    if isinstance(first, Tensors) and all(isinstance(part, Tensors) and part.names == first.names for part in parts):
        tensors: list[Any] = list(parts)
        arrays = [_numbers([part.arrays[i] for part in tensors]) for i in range(len(first.arrays))]
        return None if any(array is None for array in arrays) else Tensors(first.names, tuple(arrays))
    return None


def _numbers(arrays: list[Any]) -> Any:
    alike = len({array.dtype for array in arrays}) == 1 or {array.dtype.kind for array in arrays} <= set("if")
    return np.concatenate(arrays) if alike and len({array.shape[1:] for array in arrays}) == 1 else None
