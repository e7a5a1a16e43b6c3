"""Rows that were not scored: what is told of each, and how many a job bears. Pure."""

from __future__ import annotations

from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.errors import ConfigError
from penstock.payload import shortened

# So many bytes of a row, or characters of a cell, are told; whoever needs more finds the row by its place.
MOST_RAW = 4096


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in a file of text, without its line end: where it begins in the unpacked file and how long it
    is, in bytes, and its text, which is cut where it is long."""

    byte_offset: int
    byte_length: int
    text: str

    @classmethod
    def of(cls, byte_offset: int, row: bytes) -> RawRow:
        cut = len(row) > MOST_RAW
        # A character of which the cut leaves only the first bytes goes whole.
        text = getincrementaldecoder("utf-8")("replace").decode(row[:MOST_RAW], final=not cut)
        return cls(byte_offset, len(row), text)

    @property
    def cut(self) -> bool:
        return self.byte_length > MOST_RAW


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that could not be read, converted or predicted. `row` counts the file's rows from 0, without the header;
    `column` is None where the whole row is meant; `value` is what stands in the file. `kept` are the kept columns, as
    a JSON object, None where the row could not be read; `raw` is None for files that are not text."""

    file: str
    row: int
    column: str | None
    reason: str
    value: Any
    kept: str | None = None
    raw: RawRow | None = None

    def line(self) -> bytes:
        entry = {
            "file": self.file,
            "row": self.row,
            "column": self.column,
            "reason": self.reason,
            "value": self.value[:MOST_RAW] if isinstance(self.value, str) else self.value,
            "kept": None if self.kept is None else orjson.Fragment(self.kept),
            "byte_offset": None if self.raw is None else self.raw.byte_offset,
            "byte_length": None if self.raw is None else self.raw.byte_length,
            "raw": None if self.raw is None else self.raw.text,
            "raw_cut": self.raw is not None and self.raw.cut,
        }
        return (
            orjson.dumps(entry, default=shortened, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS) + b"\n"
        )

    def __str__(self) -> str:
        column = f", column {self.column!r}" if self.column is not None else ""
        return f"{self.file}, row {self.row}{column}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many rejects a job bears: a number of rows, or a share of all rows (0 to 1). Neither: any number."""

    count: int | None = None
    share: float | None = None

    def exceeded(self, rejects: int, rows: int, *, of_all: bool) -> bool:
        """Whether that is too many of `rows` read. `of_all` says that there are no more rows: a share of the first
        few says nothing."""
        if self.count is not None:
            return rejects > self.count
        return self.share is not None and of_all and rejects > self.share * rows

    def __str__(self) -> str:
        if self.count is not None:
            return f"{self.count:,}"
        return "any number" if self.share is None else f"{self.share * 100:g}%"


ANY_NUMBER = Tolerance()


def parse_tolerance(text: str | None) -> Tolerance:
    """`100` rows or `0.1%` of them. Raises ConfigError."""
    if text is None:
        return ANY_NUMBER
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            if 0 <= share <= 1:
                return Tolerance(share=share)
        elif (count := int(text)) >= 0:
            return Tolerance(count=count)
    except ValueError:
        pass
    raise ConfigError(
        f"The limit of errors {text} must be a number of rows or a percentage.", hint="Write 100 or 0.1%."
    )
