"""CSV bodies to tables. The first row is the header; every cell is text until the signature says otherwise.

Without a signature the columns are guessed as pandas guesses them: whole numbers, numbers, true/false, else text.
"""

from __future__ import annotations

import csv
import re
from io import BytesIO, StringIO, TextIOWrapper
from itertools import islice

import numpy as np

from penstock.errors import MalformedInput
from penstock.payload import Array, Table, as_object_array
from penstock.signature import Casting, Field, Scalar, Schema, is_missing_word
from penstock.wire.budget import Budget, check_columns, check_twins
from penstock.wire.decoded import Decoded

csv.field_size_limit(1 << 30)  # the limit on bodies is the server's; Python's own stops at 128 KiB a cell


def decode_csv(body: bytes, schema: Schema | None, budget: Budget | None = None) -> Decoded:
    """Reads a CSV body (UTF-8, a byte order mark is allowed). Raises MalformedInput, InputTooLarge."""
    try:
        body.decode("utf-8-sig")  # all of it at once, so that the error says where
    except UnicodeDecodeError as error:
        raise MalformedInput(f"The CSV is not valid UTF-8 at byte {error.start}.") from None
    # Strict, since a quote that is never closed would otherwise swallow the rows after it without a word.
    lines = csv.reader(TextIOWrapper(BytesIO(body), "utf-8-sig", newline=""), strict=True)
    try:
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise MalformedInput(f"Line {lines.line_num} of the CSV cannot be read: {error}.") from None
    if not rows:
        raise MalformedInput("The CSV is empty.", hint="The first row names the columns.")
    header, data = rows[0], rows[1:]
    if len(set(header)) != len(header):
        raise MalformedInput("The CSV has two columns with the same name.")
    for number, row in enumerate(data):
        if len(row) > len(header):
            raise MalformedInput(f"Row {number} of the CSV has {len(row)} cells, but the header has {len(header)}.")
    if budget is not None:
        budget.check_cells(len(header) * len(rows))
    data = [row if len(row) == len(header) else row + [""] * (len(header) - len(row)) for row in data]
    columns = (
        [as_object_array(cells) for cells in zip(*data, strict=True)]
        if data
        else [np.empty(0, dtype=object) for _ in header]
    )
    if schema is None:
        columns = [guess_column(column) for column in columns]
    return Decoded(Table.of(header, columns), None, Casting.TEXT)


_HEAD = 1 << 14  # characters in which the header usually ends


def _first_rows(text: str) -> list[list[str]]:
    lines = csv.reader(StringIO(text, newline=""))
    try:
        return list(islice((row for row in lines if row), 3))
    except csv.Error as error:
        raise MalformedInput(f"Line {lines.line_num} of the CSV cannot be read: {error}.") from None


def check_text(text: str, known: int, budget: Budget) -> None:
    """For a CSV that pandas is to read; `known` is the number of the signature's columns. Raises InputTooLarge,
    MalformedInput."""
    head = _first_rows(text[:_HEAD])
    if len(head) < 3 and len(text) > _HEAD:  # the last one may be cut
        head = _first_rows(text)
    if not head:
        return
    width = max(map(len, head[:2]))  # of a first row that is longer than the header, pandas makes an index
    check_columns(width, known)
    check_twins(head[0])
    if width * (text.count("\n") + (text.count("\r") if "\r" in text else 0) + 1) > budget.cells:
        try:
            budget.check_cells(width * sum(1 for row in csv.reader(StringIO(text, newline="")) if row))
        except csv.Error as error:
            raise MalformedInput(f"The CSV cannot be read: {error}.") from None


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


def guess_column(cells: Array) -> Array:
    """A column of text as whole numbers, numbers, booleans, or the text it is; missing cells are NaN or None.

    Whole numbers past 64 bits stay text: as floats they would lose digits, and they are names more often than numbers.
    """
    missing = np.fromiter((is_missing_word(cell) for cell in cells), dtype=bool, count=len(cells))
    present = [cell for cell, gone in zip(cells, missing, strict=True) if not gone]
    if present and len(present) == len(cells) and all(cell.lower() in ("true", "false") for cell in present):
        return np.array([cell.lower() == "true" for cell in present], dtype=bool)
    if not any("_" in cell for cell in present):  # 1_000 is a number to Python alone
        try:
            whole = np.array([int(cell) for cell in present], dtype=np.int64)
            if len(present) == len(cells):
                return whole
            return _with_gaps(whole.astype(np.float64), missing)
        except OverflowError:
            return as_object_array([None if gone else cell for cell, gone in zip(cells, missing, strict=True)])
        except ValueError:
            pass
        try:
            return _with_gaps(np.array([float(cell) for cell in present], dtype=np.float64), missing)
        except ValueError:
            pass
    return as_object_array([None if gone else cell for cell, gone in zip(cells, missing, strict=True)])


def _with_gaps(numbers: Array, missing: Array) -> Array:
    """The numbers where cells are present, NaN where they are missing."""
    result = np.full(len(missing), np.nan)
    result[~missing] = numbers
    return result
