"""Tables of many rows, a page at a time by their ids. SQLite keeps NULL and bytes where an id should be, several of
them, too: these are told, with what hangs on them, and stop nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from penstock.errors import ImportFailed
from penstock.moving.mlflow_database.cells import text
from penstock.moving.mlflow_database.connections import ReadOnlyConnection
from penstock.moving.mlflow_database.orphans import count_children
from penstock.moving.mlflow_database.schema import MlflowSchema
from penstock.moving.records import Broken, Kind


class PagedTable(NamedTuple):
    """`columns` begin with the id, which is `key`. `where` is a further condition."""

    kind: Kind
    table: str
    key: str
    columns: Sequence[str]
    where: str = ""


def read_pages(
    c: ReadOnlyConnection, schema: MlflowSchema, paged: PagedTable, size: int
) -> Iterator[tuple[list[tuple[Any, ...]], list[Broken]]]:
    """Rows in the order of their ids, and those of the page whose id is none. Raises ImportFailed where the database
    gives a page again: its order is damaged then, and asking on would never end."""
    select = f"SELECT {schema.listed(paged.table, paged.columns)} FROM {paged.table} WHERE "
    more = f" AND {paged.where}" if paged.where else ""
    without = int(c.scalar(f"SELECT count(*) FROM {paged.table} WHERE {paged.key} IS NULL{more}"))
    if without:
        yield [], [Broken(paged.kind, "", "its id is missing", without)]
    after: Any = None
    while True:
        begin = f"{paged.key} IS NOT NULL" if after is None else f"{paged.key} > ?"
        rows = c.rows(f"{select}{begin}{more} ORDER BY {paged.key} LIMIT {size}", *(() if after is None else (after,)))
        if not rows:
            return
        if rows[-1][0] == after:
            raise ImportFailed(
                f"The table {paged.table} at {c.place} gives {text(after)[:80]!a} after itself: its index is damaged.",
                hint="Let the database check and rebuild its indexes (REINDEX), on a copy of it.",
            )
        after = rows[-1][0]
        foreign = [row[0] for row in rows if not isinstance(row[0], str)]
        yield (
            [row for row in rows if isinstance(row[0], str)],
            [broken for cell in foreign for broken in _refused(c, schema, paged, cell)],
        )


def _refused(c: ReadOnlyConnection, schema: MlflowSchema, paged: PagedTable, cell: Any) -> Iterator[Broken]:
    """An id that is bytes might read like that of another row."""
    at = text(cell)[:80]
    yield Broken(paged.kind, at, "its id is no text")
    for kind, count in count_children(c, schema, paged.table, cell).items():
        yield Broken(kind, at, "the id of what it belongs to is no text", count)
