"""What a cell of text may stand for before its type is known: nothing, or a number."""

from __future__ import annotations

import re
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
