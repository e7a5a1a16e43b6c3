"""Cells of MLflow's tables as values. SQLite keeps anything in any column, so a cell may be of any kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 2**63 - 1
_YEAR_9999 = 253_402_300_799_999


def text(cell: Any) -> str:
    """Empty for NULL. Bytes that are no UTF-8 become half characters, which are told apart later."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    return cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else str(cell)


def optional_text(cell: Any) -> str | None:
    return None if cell is None else text(cell)


def number(cell: Any, default: int = 0) -> int:
    """A whole number of 64 bits; the default for NULL and for what is none."""
    try:
        found = int(cell)
    except (TypeError, ValueError, OverflowError):
        return default
    return found if -_MOST - 1 <= found <= _MOST else default


def optional_number(cell: Any) -> int | None:
    return None if cell is None else number(cell)


def moment(cell: Any) -> datetime:
    """Milliseconds since 1970."""
    return datetime.fromtimestamp(min(max(number(cell), 0), _YEAR_9999) / 1000, UTC)


def in_pages(given: Iterable[T], size: int) -> Iterator[list[T]]:
    page: list[T] = []
    for each in given:
        page.append(each)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def places(values: Sequence[Any]) -> str:
    """Placeholders for a list: `IN (…)`."""
    return f"({', '.join('?' * len(values))})"


def by_first(rows: Iterable[Sequence[Any]]) -> dict[str, list[Sequence[Any]]]:
    """Rows without their first cell, by it."""
    found: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        found.setdefault(text(row[0]), []).append(row[1:])
    return found
