"""CSV of nothing but short numbers, for a model that takes nothing but doubles: read in one go, without pandas."""

from __future__ import annotations

import re

from penstock.payload import Table
from penstock.signature import Field, Scalar, Schema

# What a row of short numbers is written with: 0 for what is in a cell, 1 for what ends it, 2 for all else.
_MARKS = bytes(0 if byte in b"0123456789.-" else 1 if byte in b",\n" else 2 for byte in range(256))
# One byte more than the longest of them has, which have no more digits than a double holds exactly.
_TOO_LONG = bytes(16)


def decode_plain(body: bytes, schema: Schema | None) -> Table | None:
    """Where all that the model takes are doubles by name, and the body has just these columns and a short plain number
    in every cell: the table that any reader makes of it, pandas too. None where that is not so. Needs pyarrow."""
    names = [str(field.name) for field in schema or () if isinstance(field, Field) and field.type is Scalar.DOUBLE]
    head, _, rows = body.partition(b"\n")
    cells = head.decode("ascii", errors="replace").split(",")
    header = [cell[1:-1] if re.fullmatch('"[^"]*"', cell) else cell for cell in cells]
    if not names or len(names) != len(schema or ()) or sorted(header) != sorted(names) or not _is_plain(rows):
        return None
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    from penstock.wire.columnar import numbers_of

    try:
        found = arrow_csv.read_csv(
            pa.BufferReader(rows),
            arrow_csv.ReadOptions(column_names=header),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=[]),
        )
    except pa.ArrowInvalid:  # whoever reads it next says why
        return None
    columns = [numbers_of(found.column(name).combine_chunks()) for name in names]
    return Table.of(names, columns)


def _is_plain(rows: bytes) -> bool:
    if not rows or rows[:1] == b"\n" or b"\n\n" in rows:
        return False
    marks = rows.translate(_MARKS)
    return b"\2" not in marks and _TOO_LONG not in marks
