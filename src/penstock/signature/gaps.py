"""What a gap is to a model that is handed frames: what pandas has where a cell is missing, which the model was fitted
on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.payload import TEXT, Array, Payload, Table, as_object_array
from penstock.signature.schema import Field, Schema
from penstock.signature.types import Scalar, Type


def leaves_gaps(fields: Sequence[Field]) -> bool:
    """Whether an optional column that is left out is a gap in rows. Beside lists and objects that are required it is
    not: to a model of chats, what is left out is not there."""
    return any(not field.required for field in fields) and are_rows(fields)


def are_rows(fields: Sequence[Field]) -> bool:
    """Whether what the model requires are single values, as in a table; a model of chats requires lists."""
    return all(isinstance(field.type, Scalar) for field in fields if field.required)


def gap_column(type_: Type, rows: int) -> Array:
    """(rows,) of gaps alone, as an optional column is that nobody sent: NaN for numbers, text and booleans, NaT for
    moments, None for anything else. Whole numbers have no gap, so they are floats here as in pandas."""
    if not isinstance(type_, Scalar):
        return np.full(rows, None, dtype=object)
    match type_.dtype.kind:
        case "f":
            return np.full(rows, np.nan, dtype=type_.dtype)
        case "i":
            return np.full(rows, np.nan)
        case "M":
            return np.full(rows, np.datetime64("NaT"), dtype=type_.dtype)
    if type_ is Scalar.STRING:
        return np.full(rows, np.nan, dtype=TEXT)
    return np.full(rows, np.nan if type_ is Scalar.BOOLEAN else None, dtype=object)


def with_pandas_gaps(payload: Payload, schema: Schema | None) -> Payload:
    """Columns of text and nothing else as pandas holds text, gaps as NaN, and NaN beside true and false: what its own
    readers would have made of the file, so what the model saw when it was fitted. A column that is all gaps is what the
    model takes there."""
    if not isinstance(payload, Table) or (payload.block is not None and payload.block.dtype != object):
        return payload
    known = {f.name: f.type for f in schema or () if isinstance(f, Field)}
    names = payload.names if payload.names is not None else range(payload.width)
    columns = [_as_pandas(c, known.get(name)) for name, c in zip(names, payload.iter_columns(), strict=True)]
    return Table.of(payload.names, columns, payload.index)


def _as_pandas(column: Array, type_: Type | None) -> Array:
    if column.dtype != object:
        return column
    cells = column.tolist()
    kinds = set(map(type, cells))
    if float in kinds and any(type(cell) is float and cell == cell for cell in cells):
        return column
    present = kinds - {type(None), float}
    if present == {str} or (not present and type_ is Scalar.STRING):
        return np.array([cell if type(cell) is str else np.nan for cell in cells], dtype=TEXT)
    if type(None) in kinds and (present <= {bool, np.bool_} and (present or type_ is Scalar.BOOLEAN)):
        return as_object_array([np.nan if cell is None else cell for cell in cells])
    return column
