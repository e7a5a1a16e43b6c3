"""Where the records of CSV text end, and which quotes are quotes: decided here for every reader.

A quote opens a quoted cell where it is the first byte of the cell. In any other place outside of quotes it is a
character like others, as in `TV 42" black`. Records end with a newline, a carriage return, or both; inside quotes these
are part of the cell. A line of nothing but blanks is no record. Source: RFC 4180, and what pandas, Arrow and Python's
csv alike make of text beyond it.
"""

from __future__ import annotations

from enum import Enum
from functools import cache

import numpy as np

from penstock.payload import Array

BOM = b"\xef\xbb\xbf"

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


class Before(Enum):
    """What a byte of the text comes after."""

    START = "the start of a cell"
    QUOTED = "a byte inside quotes"
    CLOSED = "the quote that ended a quoted cell, unless the byte is a quote as well"
    PLAIN = "a byte outside of quotes"


def find_ends(text: bytes, delimiter: str = ",", before: Before = Before.START) -> tuple[Array, Before]:
    """The places (n,) of the bytes that end a record, and what comes before the byte after `text`. The text must not
    end between a carriage return and its newline."""
    cells = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(cells == _NEWLINE)
    if (returns := text.count(b"\r")) and returns != text.count(b"\r\n"):
        ends = np.union1d(ends, _lone_returns(cells))
    if before is not Before.QUOTED and b'"' not in text:
        return ends, _last(text, delimiter, before, closed=False)
    quotes, after = _quotes(text, cells, delimiter, before)
    # An end with an odd number of quotes before it stands inside a cell; a doubled quote changes nothing.
    odd = (np.searchsorted(quotes, ends) + (before is Before.QUOTED)) % 2
    return ends[odd == 0], after


def is_open(text: bytes, delimiter: str = ",") -> bool:
    """Whether the last quoted cell of whole records is never closed."""
    if b'"' not in text:
        return False
    return _quotes(text, np.frombuffer(text, dtype=np.uint8), delimiter, Before.START)[1] is Before.QUOTED


def count_delimiters(text: bytes, delimiter: str = ",") -> int:
    """How many delimiters part cells, so are not inside quotes."""
    mark = delimiter.encode()
    if b'"' not in text:
        return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == mark[0]))
    cells = np.frombuffer(text, dtype=np.uint8)
    quotes = _quotes(text, cells, delimiter, Before.START)[0]
    places = np.flatnonzero(cells == mark[0])
    ranks = np.searchsorted(places, np.append(quotes, len(text)) if len(quotes) % 2 else quotes)
    return len(places) - int((ranks[1::2] - ranks[::2]).sum())


def _lone_returns(cells: Array) -> Array:
    returns = np.flatnonzero(cells == _RETURN)
    following = cells[np.minimum(returns + 1, len(cells) - 1)]
    lone: Array = returns[following != _NEWLINE]
    return lone


@cache
def _starts(delimiter: str) -> Array:
    """By byte, whether a cell begins after it."""
    return np.array([byte in (ord(delimiter), _NEWLINE, _RETURN) for byte in range(256)])


def _last(text: bytes, delimiter: str, before: Before, *, closed: bool) -> Before:
    if not text:
        return before
    if closed:
        return Before.CLOSED
    return Before.START if _starts(delimiter)[text[-1]] else Before.PLAIN


def _quotes(text: bytes, cells: Array, delimiter: str, before: Before) -> tuple[Array, Before]:
    """The places of the quotes that open and close cells, doubled ones among them, and what comes before the byte after
    the text."""
    found = np.flatnonzero(cells == _QUOTE)
    inside = before is Before.QUOTED
    if len(found):
        first = _starts(delimiter)[cells[found - 1]]
        again = np.diff(found, prepend=-2) == 1
        if found[0] == 0:
            first[0], again[0] = before is Before.START, before is Before.CLOSED
        if not (first | again)[int(inside) :: 2].all():
            found = _without_characters(found, first, again, inside=inside)
    if (len(found) + inside) % 2:
        return found, Before.QUOTED
    return found, _last(text, delimiter, before, closed=bool(len(found)) and int(found[-1]) == len(text) - 1)


def _without_characters(found: Array, first: Array, again: Array, *, inside: bool) -> Array:
    """The quotes without those that are mere characters. `first` says whether a quote is the first byte of a cell,
    `again` whether the byte before it is a quote as well."""
    kept: list[int] = []
    closed = bool(again[0])  # whether the quote before this one closed a cell
    for place, opens, follows in zip(found.tolist(), first.tolist(), again.tolist(), strict=True):
        if inside:
            kept.append(place)
            inside, closed = False, True
        elif opens or (follows and closed):
            kept.append(place)
            inside = True
        else:
            closed = False
    return np.array(kept, dtype=np.intp)


def all_ends(text: bytes, delimiter: str = ",") -> tuple[Array, bool]:
    """The places where the records of a whole text end, the last one at the text's own end if need be, and whether
    that one has a quote that is never closed."""
    ends, before = find_ends(text, delimiter)
    if text and not (len(ends) and ends[-1] == len(text) - 1):
        ends = np.append(ends, len(text))
    return ends, before is Before.QUOTED


def split_records(data: bytes, delimiter: str = ",") -> list[bytes]:
    """The records one by one, without their line ends."""
    ends = all_ends(data, delimiter)[0].tolist()
    starts = [0, *(end + 1 for end in ends[:-1])]
    return [_without_end(data, start, end) for start, end in zip(starts, ends, strict=False)]


def _without_end(data: bytes, start: int, end: int) -> bytes:
    record = data[start:end]
    return record.removesuffix(b"\r") if data[end : end + 1] == b"\n" else record


def without_blanks(data: bytes, ends: Array, delimiter: str = ",") -> tuple[bytes, int]:
    """Whole records as they stand, without lines of nothing but blanks, and how many there are."""
    starts, stops = find_blanks(data, ends, delimiter)
    return without(data, starts, stops), len(ends) - len(starts)


def find_blanks(data: bytes, ends: Array, delimiter: str = ",") -> tuple[Array, Array]:
    """The lines of nothing but blanks (n,): where each begins, and where the next line does."""
    if not len(ends):
        return ends, ends
    blanks = b"\r\n \t".replace(delimiter.encode(), b"")
    starts = np.zeros(len(ends), np.int32 if len(data) < 2**31 else np.int64)
    np.add(ends[:-1], 1, out=starts[1:], casting="unsafe")
    maybe = np.flatnonzero(_among(blanks)[np.frombuffer(data, dtype=np.uint8)[starts]])
    empty = (not data[starts[i] : ends[i]].strip(blanks) for i in maybe)
    gone = maybe[np.fromiter(empty, bool, len(maybe))]
    return starts[gone], ends[gone] + 1


def without(data: bytes, starts: Array, stops: Array) -> bytes:
    """The text without these pieces of it."""
    if not len(starts):
        return data
    stays = [*starts.tolist(), len(data)]  # where each run of bytes that stay ends
    begins = [0, *stops.tolist()]
    return b"".join(data[begin:end] for begin, end in zip(begins, stays, strict=True))


@cache
def _among(some: bytes) -> Array:
    return np.array([byte in some for byte in range(256)])
