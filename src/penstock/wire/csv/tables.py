"""CSV bodies to tables. The first row is the header; every cell is text until the signature says otherwise."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from penstock.errors import MalformedInput
from penstock.payload import Array, Name, Table, as_object_array, shortened
from penstock.signature import Casting, Schema
from penstock.wire.budget import Budget
from penstock.wire.csv.guessing import guess_column
from penstock.wire.csv.rows import read_rows
from penstock.wire.decoded import Decoded


def decode_csv(body: bytes, schema: Schema | None, budget: Budget | None = None) -> Decoded:
    """Reads a CSV body (UTF-8, a byte order mark is allowed). Raises MalformedInput, InputTooLarge."""
    names, columns = text_columns(body, budget)
    if schema is None:
        columns = [_guessed(column, name) for column, name in zip(columns, names, strict=True)]
    return Decoded(Table.of(own_names(names, schema), columns), None, Casting.TEXT)


def text_columns(body: bytes, budget: Budget | None = None) -> tuple[list[str], list[Array]]:
    """The names and the columns (rows,) of text. Raises MalformedInput, InputTooLarge."""
    names, rows = read_rows(body, budget)
    if not rows:
        return names, [np.empty(0, dtype=object) for _ in names]
    return names, [as_object_array(cells) for cells in zip(*rows, strict=True)]


def own_names(names: Iterable[Name], schema: Schema | None) -> list[Name]:
    """The names of columns as the signature has them: whole numbers where those are."""
    own: dict[str, Name] = {str(field.name): field.name for field in schema or () if field.name is not None}
    return [own.get(str(name), name) for name in names]


def _guessed(column: Array, name: str) -> Array:
    """Raises MalformedInput for a number past what a double holds."""
    found = guess_column(column)
    if found.dtype.kind == "f":
        for row in np.flatnonzero(np.isinf(found)).tolist():
            if "inf" not in column[row].lower():
                raise MalformedInput(f"Row {row}, column {name!r}: {shortened(column[row])} is out of range.")
    return found
