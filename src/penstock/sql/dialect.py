"""Where SQLite and PostgreSQL differ: placeholders, lists as parameters, many rows in one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import orjson
from sqlalchemy import BigInteger, Boolean, Connection, Double, Integer, LargeBinary, Table
from sqlalchemy.dialects import postgresql, sqlite

# What a row does that is there already: fail, stay as it is, or take the new values.
OnConflict: TypeAlias = Literal["fail", "keep", "replace"]


class FoundRows(Sequence[tuple[Any, ...]]):
    """What a statement found, or how many rows it changed."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place]

    def first(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    def scalar(self) -> Any:
        """The first cell of the first row; None where there is none."""
        return self._rows[0][0] if self._rows else None


def run(c: Connection, statement: str, *parameters: Any) -> FoundRows:
    """The rows of a statement with `?` for each parameter; it holds no other question mark, and no `%`.

    The driver is asked directly: SQLAlchemy's own way costs more than most of these statements.
    """
    cursor = _driver(c).cursor()
    try:
        cursor.execute(_placed(statement, c.dialect.name), parameters)
        return FoundRows(cursor.fetchall() if cursor.description else [], cursor.rowcount)
    finally:
        cursor.close()


def stream(c: Connection, statement: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a statement without parameters, so many at a time, of which no more are held."""
    driver = _driver(c)
    # One of PostgreSQL's own: others are given all rows before the first one.
    cursor = driver.cursor() if c.dialect.name == "sqlite" else driver.cursor(name="penstock_stream")
    try:
        cursor.execute(statement)
        while rows := cursor.fetchmany(size):
            yield rows
    finally:
        cursor.close()


def is_cancelled(error: BaseException | None) -> bool:
    """Whether the server ended a statement: it took too long, or somebody wished it. The database is well."""
    return getattr(error, "sqlstate", None) == "57014"


def run_each(c: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """The same statement for each row of parameters; says how many rows it changed."""
    if not rows:
        return 0
    cursor = _driver(c).cursor()
    try:
        cursor.executemany(_placed(statement, c.dialect.name), rows)
        changed: int = cursor.rowcount
        return changed
    finally:
        cursor.close()


def any_of(c: Connection, column: str, values: Sequence[Any]) -> tuple[str, Any]:
    """A condition that a column is one of these values, and its one parameter. Values are texts or integers."""
    if c.dialect.name == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(?))", orjson.dumps(list(values)).decode()
    return f"{column} = ANY(?)", list(values)


def pairs(c: Connection, wanted: Sequence[tuple[int, str]]) -> tuple[str, tuple[Any, ...]]:
    """A table `wanted (run, key)` for FROM, joined to what follows it in this order, and its parameters."""
    if c.dialect.name == "sqlite":
        table = "(SELECT json_extract(value, '$[0]') AS run, json_extract(value, '$[1]') AS key FROM json_each(?))"
        return f"{table} AS wanted CROSS JOIN", (orjson.dumps(wanted).decode(),)
    runs, keys = [run for run, _ in wanted], [key for _, key in wanted]
    return "unnest(?::bigint[], ?::text[]) AS wanted (run, key) JOIN", (runs, keys)


def insert_rows(c: Connection, table: Table, rows: Sequence[tuple[Any, ...]], on_conflict: OnConflict = "fail") -> int:
    """Inserts rows whose cells are in the order of the table's columns; says how many were inserted or replaced. No two
    rows may have one primary key where they replace what is there."""
    if not rows:
        return 0
    statement = _insert(table, c.dialect.name, on_conflict)
    if c.dialect.name == "sqlite":
        return run_each(c, statement, rows)
    return run(c, statement, *(list(column) for column in zip(*rows, strict=True))).rowcount


def insert_or_leave(c: Connection, table: Table) -> Any:
    """SQLAlchemy's insert of a row that is left out where it contradicts a unique one; on PostgreSQL it waits for
    whoever is adding that one."""
    make = postgresql.insert if c.dialect.name == "postgresql" else sqlite.insert
    return make(table).on_conflict_do_nothing()


def next_key(c: Connection, table: Table) -> int:
    """A free integer key. Whoever asks holds the row of changes, so nobody else takes it."""
    found: int = run(c, f"SELECT coalesce(max(id), 0) + 1 FROM {table.name}").scalar()
    return found


def _driver(c: Connection) -> Any:
    return c.connection.driver_connection


@lru_cache(maxsize=512)
def _placed(statement: str, dialect: str) -> str:
    return statement if dialect == "sqlite" else statement.replace("?", "%s")


@lru_cache(maxsize=64)
def _insert(table: Table, dialect: str, on_conflict: OnConflict) -> str:
    columns = [column.name for column in table.columns]
    named = ", ".join(f'"{name}"' for name in columns)
    if dialect == "sqlite":
        source = f"VALUES ({', '.join('?' for _ in columns)})"
    else:
        source = f"SELECT * FROM unnest({', '.join(f'%s::{_type(column.type)}[]' for column in table.columns)})"
    statement = f"INSERT INTO {table.name} ({named}) {source}"
    if on_conflict == "fail":
        return statement
    keys = [column.name for column in table.primary_key.columns]
    if on_conflict == "keep":
        return f"{statement} ON CONFLICT DO NOTHING"
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in keys)
    target = ", ".join(f'"{name}"' for name in keys)
    return f"{statement} ON CONFLICT ({target}) DO UPDATE SET {changed}"


def _type(kind: Any) -> str:
    for of, name in (
        (BigInteger, "bigint"),
        (Integer, "integer"),
        (Double, "double precision"),
        (Boolean, "boolean"),
        (LargeBinary, "bytea"),
    ):
        if isinstance(kind, of):
            return name
    return "text"
