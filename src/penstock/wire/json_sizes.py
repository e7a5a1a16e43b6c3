"""What JSON values would become as tables and arrays, counted before they do, by loops rather than recursion."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from penstock.wire.budget import FREE_BYTES, Budget, check_columns

# Lists and objects inside of each other, the body itself among them: numpy's arrays have no more axes.
MAX_NESTING = 64
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_too_nested(body: bytes, document: Any) -> bool:
    """Whether values stand deeper inside of each other than is read here."""
    brackets = body.translate(None, _NO_BRACKETS)
    for _ in range(4):  # the innermost ones go; nothing is left of most bodies
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if not brackets:
        return False
    level = [document]
    for _ in range(MAX_NESTING):
        level = [item for outer in level for item in _inside(outer) if isinstance(item, (list, dict))]
        if not level:
            return False
    return True


def _inside(outer: Any) -> Any:
    return outer.values() if isinstance(outer, dict) else outer


# Names of all objects together, up to which there cannot be too many columns, whether or not the names are the same.
_FEW_NAMES = 8192


def check_rows(rows: Any, budget: Budget) -> int:
    """The width of the table that a list of lists or objects makes with its gaps filled.

    Raises InputTooLarge where that table has more cells than the body may."""
    if not isinstance(rows, list):
        return 0
    lists = [row for row in rows if isinstance(row, list)]
    width = max(map(len, lists), default=0)
    objects = [row for row in rows if isinstance(row, dict)] if len(lists) < len(rows) else []
    if objects:
        names = sum(map(len, objects))
        if names * len(rows) > budget.cells or names > _FEW_NAMES:
            names = len(set().union(*objects))
        else:
            names = max(map(len, objects))
        width = max(width, names)
    budget.check_cells(width * len(rows))
    return width


def check_frame(envelope: str, value: Any, known: int, budget: Budget) -> None:
    """For a body that pandas is to read; `known` is the number of the signature's columns. Raises InputTooLarge."""
    names: Any = None
    if envelope == "dataframe_split" and isinstance(value, dict):
        names, value = value.get("columns"), value.get("data")
    width = check_rows(value, budget)
    if isinstance(value, dict):
        width = len(value)
    if envelope.startswith("dataframe") or isinstance(value, dict):
        check_columns(max(width, len(names) if isinstance(names, list) else 0), known)


def pads_texts(value: Any) -> bool:
    """Whether an array of these texts would be mostly padding: then it is better one of objects."""
    level = [value]
    count = longest = total = 0
    while level:
        texts = [len(item) for item in level if isinstance(item, str)]
        texts += [item.itemsize // 4 for item in level if isinstance(item, np.ndarray) and item.dtype.kind == "U"]
        count += len(level)
        longest, total = max(longest, max(texts, default=0)), total + sum(texts)
        level = list(chain.from_iterable(item for item in level if isinstance(item, list)))
    return 4 * longest * count > 4 * total + FREE_BYTES
