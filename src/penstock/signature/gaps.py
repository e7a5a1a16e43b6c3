"""What a gap is to a model that is handed frames: what pandas has where a cell is missing, which the model was fitted
on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.payload import TEXT, Array, Payload, Table
from penstock.signature.schema import Field, Schema
from penstock.signature.types import Scalar, Type


def leaves_gaps(fields: Sequence[Field]) -> bool:
    """Whether an optional column that is left out is a gap in rows. Beside lists and objects that are required it is
    not: to a model of chats, what is left out is not there."""
    optional = any(not field.required for field in fields)
    return optional and all(isinstance(field.type, Scalar) for field in fields if field.required)


def gap_column(type_: Type, rows: int) -> Array:
    """(rows,) of gaps alone, as an optional column is that nobody sent: NaN for numbers and text, NaT for moments, None
    for anything else. Whole numbers have no gap, so they are floats here as in pandas."""
    if not isinstance(type_, Scalar):
        return np.full(rows, None, dtype=object)
    match type_.dtype.kind:
        case "f":
            return np.full(rows, np.nan, dtype=type_.dtype)
        case "i":
            return np.full(rows, np.nan)
        case "M":
            return np.full(rows, np.datetime64("NaT"), dtype=type_.dtype)
    return np.full(rows, np.nan, dtype=TEXT) if type_ is Scalar.STRING else np.full(rows, None, dtype=object)


def with_text(payload: Payload, schema: Schema | None) -> Payload:
    """Columns of text and nothing else as pandas holds text, gaps as NaN: what its own readers would have made of the
    file, so what the model saw when it was fitted. A column that is all gaps is text where the model takes text."""
    if not isinstance(payload, Table) or (payload.block is not None and payload.block.dtype != object):
        return payload
    texts = {f.name for f in schema or () if isinstance(f, Field) and f.type is Scalar.STRING}
    names = payload.names if payload.names is not None else range(payload.width)
    columns = [_text(c, name in texts) for name, c in zip(names, payload.iter_columns(), strict=True)]
    return Table.of(payload.names, columns, payload.index)


def _text(column: Array, known: bool) -> Array:
    if column.dtype != object:
        return column
    cells = column.tolist()
    kinds = set(map(type, cells))
    if not kinds <= {str, type(None), float} or not (known or str in kinds):
        return column
    if float in kinds and any(type(cell) is float and cell == cell for cell in cells):
        return column
    return np.array([cell if type(cell) is str else np.nan for cell in cells], dtype=TEXT)
