"""What is known of earlier imports: a mark for each object that one brought over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from penstock.sql import import_tables as tables
from penstock.sql.dialect import any_of, insert_rows, run


def open_import(c: Connection, place: str, now: int) -> int:
    """The number of a source, by the place that it names itself; times are milliseconds since 1970."""
    number = import_of(c, place)
    if number is None:
        number = 1 + (run(c, "SELECT max(id) FROM penstock_imports").scalar() or 0)
        insert_rows(c, tables.imports, [(number, place, now, now)])
    else:
        run(c, "UPDATE penstock_imports SET last_at = ? WHERE id = ?", now, number)
    return number


def import_of(c: Connection, place: str) -> int | None:
    """The same without beginning anything: None where nothing was imported from there."""
    number: int | None = run(c, "SELECT id FROM penstock_imports WHERE place = ?", place).scalar()
    return number


def read_marks(c: Connection, source: int, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
    """Those objects of these that were brought over, with their marks."""
    condition, parameter = any_of(c, "id", list(ids))
    statement = f"SELECT id, mark FROM penstock_imported WHERE source = ? AND kind = ? AND {condition}"
    return {row[0]: bytes(row[1]) for row in run(c, statement, source, kind, parameter)}


def place_before(c: Connection, place: str, kind: str, ids: Sequence[str]) -> str:
    """Where one of these objects was brought over from last, but for this place; empty where there is no other."""
    condition, parameter = any_of(c, "o.id", list(ids))
    statement = (
        "SELECT i.place FROM penstock_imports i JOIN penstock_imported o ON o.source = i.id "
        f"WHERE i.place <> ? AND o.kind = ? AND {condition} ORDER BY i.last_at DESC, i.id DESC LIMIT 1"
    )
    return run(c, statement, place, kind, parameter).scalar() or ""


def write_marks(c: Connection, source: int, kind: str, marks: Iterable[tuple[str, bytes]]) -> None:
    """The last one of each object counts."""
    rows = [(source, kind, name, mark) for name, mark in dict(marks).items()]
    insert_rows(c, tables.imported, rows, "replace")
