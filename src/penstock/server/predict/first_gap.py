"""Where the rows that a model failed on have a missing cell: often why, and no exception of a library says where."""

from __future__ import annotations

import numpy as np

from penstock.payload import TEXT, Array, Payload, Table, shortened

# A failed request is answered on the event loop, so no more rows than these are looked at.
_MOST_ROWS = 10_000


def first_gap(payload: Payload) -> str:
    """As a sentence: the first row with a missing cell, and its column. Empty where no cell is missing."""
    if not isinstance(payload, Table):
        return ""
    gaps = [(row, place) for place, column in enumerate(payload.iter_columns()) if (row := _first(column)) is not None]
    if not gaps:
        return ""
    row, place = min(gaps)
    name = place if payload.names is None else payload.names[place]
    return f"Row {row}, column {shortened(name)}, is missing."


def _first(column: Array) -> int | None:
    column = column[:_MOST_ROWS]
    if column.dtype.kind in ("f", TEXT.kind):
        gone = np.flatnonzero(np.isnan(column))
        return int(gone[0]) if len(gone) else None
    if column.dtype.kind != "O":
        return None
    return next((row for row, cell in enumerate(column.tolist()) if _is_missing(cell)), None)


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)
