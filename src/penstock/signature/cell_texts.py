"""What a cell of text may stand for before its type is known: nothing, a number, or a header of another delimiter."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np

# What pandas.read_csv takes for missing by default.
MISSING_WORDS = frozenset(
    [
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
        "",
    ]
)


def is_missing_word(cell: Any) -> bool:
    """Whether a cell of text stands for nothing."""
    return isinstance(cell, str) and cell in MISSING_WORDS


def is_missing(cell: Any) -> bool:
    """None, and of what is unequal to itself NaN of any width, and pandas' NaT, which calls itself a datetime."""
    return cell is None or (isinstance(cell, (float, np.floating, datetime)) and bool(cell != cell))


# As pandas reads numbers in CSV: in ASCII digits, with blanks around them at most.
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?\s*", re.ASCII | re.IGNORECASE)
_INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)


def is_number_text(cell: str) -> bool:
    """Whether a cell of a text file is a number. 1_000, NAN and digits of other scripts are such to Python alone."""
    return _NUMBER.fullmatch(cell) is not None or _INFINITY.fullmatch(cell) is not None


# Text with these is read as one column, whose name is the whole header: by what they are called, and in Python.
_DELIMITERS = {";": ("semicolons", "';'"), "\t": ("tabs", r"'\t'"), "|": ("vertical bars", "'|'")}
_MORE = {
    ";": ", with decimal=',' where numbers have commas",
    "\t": "; a file with tabs is read as it is where its name ends with .tsv",
}


def wrong_delimiter(name: object, wanted: Iterable[object] | None = None) -> str:
    """What to do about a column whose name is a whole header, since commas were looked for; empty where it is none.
    `wanted` are the names that must be in it, None for any."""
    if not isinstance(name, str):
        return ""
    for delimiter, (called, written) in _DELIMITERS.items():
        parts = [part.strip().strip('"') for part in name.split(delimiter)]
        if len(parts) > 1 and (wanted is None or not set(parts).isdisjoint(wanted)):
            return (
                f"The text is separated by {called}, and commas are expected: pandas.read_csv(FILE, sep={written}"
                f").to_csv(OTHER, index=False) writes it so{_MORE.get(delimiter, '')}"
            )
    return ""


def delimiter_told(missing: Iterable[object], extra: Iterable[object]) -> str:
    """The end of a sentence about columns that are missing and others that nobody knows."""
    wanted = list(missing)
    found = next(filter(None, (wrong_delimiter(name, wanted) for name in extra)), "")
    return f". {found}" if found else ""
