"""Rows that were not scored: what is told of each, and how many a job bears. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from penstock.errors import ConfigError
from penstock.payload import shortened


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that could not be read, converted or predicted. `row` counts the file's rows from 0, without the header;
    `column` is None where the whole row is meant; `value` is what stands in the file."""

    file: str
    row: int
    column: str | None
    reason: str
    value: Any

    def line(self) -> bytes:
        entry = {
            "file": self.file,
            "row": self.row,
            "column": self.column,
            "reason": self.reason,
            "value": self.value,
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
