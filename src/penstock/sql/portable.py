"""Tables as rows of JSON, the same from SQLite and from PostgreSQL: what is read from one may be put into the other.

The tables are described by what the database says of them, so those of any release can be read. What is counted of a
table does not depend on the order of its rows, which databases sort differently.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import orjson
from sqlalchemy import Boolean, Connection, DateTime, Float, Integer, LargeBinary, inspect

from penstock.sql.dialect import run, run_each, stream
from penstock.sql.tables import REVISION_TABLE

T = TypeVar("T")

CellKind: TypeAlias = Literal["integer", "double", "boolean", "time", "bytes", "text"]

_KINDS: tuple[tuple[type[Any], CellKind], ...] = (
    (Boolean, "boolean"),
    (Integer, "integer"),
    (Float, "double"),
    (DateTime, "time"),
    (LargeBinary, "bytes"),
)
_PREFIX = "penstock_"

# Rows that are read, and inserted, in one call; and of tables with packed points, which may have 40 kB each.
_ROWS = 1000
_ROWS_WITH_BYTES = 64


class PortableTable(NamedTuple):
    """A table's name, its columns in order, and those of its primary key."""

    name: str
    columns: tuple[tuple[str, CellKind], ...]
    key: tuple[str, ...]


class TableSum:
    """How many rows there are, and a digest of them all, in whatever order they come."""

    def __init__(self) -> None:
        # The whole mutable state.
        self.rows = 0
        self._sum = 0

    def add(self, line: bytes) -> None:
        self.rows += 1
        self._sum += int.from_bytes(hashlib.blake2b(line, digest_size=16).digest(), "big")

    @property
    def digest(self) -> str:
        return f"{self._sum % (1 << 128):032x}"


def portable_tables(c: Connection) -> list[PortableTable]:
    """All of ours, those that others refer to first."""
    found = inspect(c)
    tables = []
    for name, _ in found.get_sorted_table_and_fkc_names():
        if name is not None and name.startswith(_PREFIX) and name != REVISION_TABLE:
            columns = tuple((each["name"], _kind(each["type"])) for each in found.get_columns(name))
            tables.append(PortableTable(name, columns, tuple(found.get_pk_constraint(name)["constrained_columns"])))
    return tables


def read_lines(c: Connection, table: PortableTable, count: TableSum) -> Iterator[bytes]:
    """Each row as an array in JSON, in the order of the primary key. What it is counted by does not know the sign of
    zero, which SQLite does not keep."""
    names = ", ".join(f'"{name}"' for name, _ in table.columns)
    order = ", ".join(f'"{name}"' for name in table.key)
    written = [(place, _WRITTEN[kind]) for place, (_, kind) in enumerate(table.columns) if kind in _WRITTEN]
    doubles = [place for place, (_, kind) in enumerate(table.columns) if kind == "double"]
    at_once = _ROWS_WITH_BYTES if "bytes" in dict(table.columns).values() else _ROWS
    for rows in stream(c, f"SELECT {names} FROM {table.name} ORDER BY {order}", at_once):
        for row in rows:
            cells = list(row)
            for place, write in written:
                if cells[place] is not None:
                    cells[place] = write(cells[place])
            line = orjson.dumps(cells)
            count.add(_without_signs(cells, doubles) if doubles and b"-0.0" in line else line)
            yield line


def count_rows(c: Connection, table: PortableTable, on_rows: Callable[[int], None]) -> TableSum:
    """Reads all of a table."""
    count = TableSum()
    for _ in read_lines(c, table, count):
        if count.rows % _ROWS == 0:
            on_rows(_ROWS)
    on_rows(count.rows % _ROWS)
    return count


def insert_lines(c: Connection, table: PortableTable, lines: Iterable[bytes]) -> None:
    """Raises ValueError for what is no row of this table."""
    on_sqlite = c.dialect.name == "sqlite"
    kinds = [kind for _, kind in table.columns]
    readers = _READ_TO_SQLITE if on_sqlite else _READ
    read = [(place, readers[kind]) for place, kind in enumerate(kinds) if kind in readers]
    rows = (_row(line, len(kinds), read) for line in lines)
    names = ", ".join(f'"{name}"' for name, _ in table.columns)
    if on_sqlite:
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' for _ in kinds)})"
        for some in _batched(rows, _ROWS_WITH_BYTES if "bytes" in kinds else _ROWS):
            run_each(c, statement, some)
        return
    driver: Any = c.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def set_sequences(c: Connection, tables: Sequence[PortableTable]) -> None:
    """PostgreSQL counts the ids that it gives apart from the rows; SQLite looks at the rows."""
    if c.dialect.name != "postgresql":
        return
    for table in tables:
        if table.key == ("id",):
            sequence = run(c, "SELECT pg_get_serial_sequence(?, 'id')", table.name).scalar()
            if sequence is not None:
                run(c, f"SELECT setval(?::regclass, max(id)) FROM {table.name} HAVING max(id) > 0", sequence)


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    given = iter(items)
    while some := list(islice(given, size)):
        yield some


def _without_signs(cells: Sequence[Any], doubles: Sequence[int]) -> bytes:
    """A row whose zeros have no sign."""
    return orjson.dumps([0.0 if at in doubles and cell == 0 else cell for at, cell in enumerate(cells)])


def _kind(type_: Any) -> CellKind:
    return next((kind for of, kind in _KINDS if isinstance(type_, of)), "text")


def _row(line: bytes, columns: int, read: Sequence[tuple[int, Callable[[Any], Any]]]) -> tuple[Any, ...]:
    cells = orjson.loads(line)
    if not isinstance(cells, list) or len(cells) != columns:
        raise ValueError(f"a row of {columns} cells was expected")
    for place, reader in read:
        if cells[place] is not None:
            cells[place] = reader(cells[place])
    return tuple(cells)


def _written_double(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _written_time(value: datetime | str) -> str:
    """SQLite has it as a text, in UTC by agreement (sql/tables.py)."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def _read_time_to_sqlite(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S.%f")


# JSON has no NaN and no infinities; whatever is no number there is a text here.
_WRITTEN: dict[CellKind, Callable[[Any], Any]] = {
    "double": _written_double,
    "boolean": bool,
    "time": _written_time,
    "bytes": lambda value: base64.b64encode(value).decode(),
}
_READ: dict[CellKind, Callable[[Any], Any]] = {
    "double": float,
    "time": datetime.fromisoformat,
    "bytes": base64.b64decode,
}
_READ_TO_SQLITE = {**_READ, "time": _read_time_to_sqlite}
