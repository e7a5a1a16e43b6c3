"""Tables into a backup and out of it: rows of JSON in packed parts. A part that is as it was is shared with the backup
before, since rows stand in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import zstandard
from sqlalchemy import Connection

from penstock.errors import BackupBroken
from penstock.hub.backup.manifest import SavedTable
from penstock.hub.backup.objects import BackupObjects
from penstock.sql.portable import PortableTable, TableSum, insert_lines, read_lines

# A part: small enough to hold, large enough that there are few. Chunks of points have tens of kilobytes a row.
_ROWS = 5000
_BYTES = 1024 * 1024
_LEVEL = 3
_MAX_PART = 64 * 1024 * 1024


def save_table(
    c: Connection, table: PortableTable, objects: BackupObjects, on_rows: Callable[[int], None]
) -> SavedTable:
    count = TableSum()
    parts = []
    for lines in parts_of(read_lines(c, table, count)):
        parts.append(objects.put(pack_lines(lines)))
        on_rows(len(lines))
    return SavedTable(table.name, table.columns, table.key, count.rows, count.digest, tuple(parts))


def load_table(c: Connection, saved: SavedTable, objects: BackupObjects, on_rows: Callable[[int], None]) -> None:
    """Raises BackupBroken."""
    for part in saved.parts:
        lines = unpack_lines(objects.read(part), part)
        try:
            insert_lines(c, saved.table, lines)
        except (ValueError, TypeError) as error:
            raise BackupBroken(f"The backup is damaged: a row of {saved.name} cannot be read: {error}.") from error
        on_rows(len(lines))


def parts_of(lines: Iterator[bytes]) -> Iterator[Sequence[bytes]]:
    """Lines in groups of a bounded size."""
    some: list[bytes] = []
    size = 0
    for line in lines:
        some.append(line)
        size += len(line)
        if len(some) >= _ROWS or size >= _BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def pack_lines(lines: Sequence[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(b"\n".join(lines))


def unpack_lines(content: bytes, name: str) -> list[bytes]:
    """Raises BackupBroken."""
    try:
        return zstandard.ZstdDecompressor().decompress(content, max_output_size=_MAX_PART).split(b"\n")
    except zstandard.ZstdError as error:
        raise BackupBroken(f"The backup is damaged: its part {name} cannot be read: {error}.") from error
