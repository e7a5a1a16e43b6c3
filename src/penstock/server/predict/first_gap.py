"""Where the rows that a model failed on have a missing cell: often why, and no exception of a library says where."""

from __future__ import annotations

import numpy as np

from penstock.payload import TEXT, Array, Payload, Table, shortened
from penstock.signature.cell_texts import is_missing

# A failed request is answered on the event loop, so no more cells than these are looked at: ten milliseconds.
_MOST_CELLS = 100_000


def first_gap(payload: Payload) -> str:
    """As a sentence: the first row with a missing cell, and its column. Empty where no cell is missing."""
    if not isinstance(payload, Table):
        return ""
    most = _MOST_CELLS // max(payload.width, 1)
    columns = (column[:most] for column in payload.iter_columns())
    gaps = [(row, place) for place, column in enumerate(columns) if (row := _first(column)) is not None]
    if not gaps:
        return ""
    row, place = min(gaps)
    name = place if payload.names is None else payload.names[place]
    return f"Row {row}, column {shortened(name)}, is missing."


def _first(column: Array) -> int | None:
    match column.dtype.kind:
        case "f" | TEXT.kind:
            gone = np.isnan(column)
        case "M":
            gone = np.isnat(column)
        case "O":
            return next((row for row, cell in enumerate(column.tolist()) if is_missing(cell)), None)
        case _:
            return None
    return int(gone.argmax()) if gone.any() else None
