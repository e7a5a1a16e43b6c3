"""What in the rows probably made a model fail: an exception of the model's own speaks of its code, not of the rows."""

from __future__ import annotations

import re

from penstock.payload import Array, Name, Payload, Table, shortened, some
from penstock.signature.cell_texts import is_missing
from penstock.signature.schema import Field, Schema
from penstock.signature.types import Scalar

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
# So many cells of a column are looked at.
_LOOKED_AT = 100


def date_texts(payload: Payload) -> list[Name]:
    """The columns whose cells are texts, and all of them dates."""
    if not isinstance(payload, Table):
        return []
    names = payload.names if payload.names is not None else tuple(range(payload.width))
    return [name for name, column in zip(names, payload.iter_columns(), strict=True) if _are_dates(column)]


def likely_cause(payload: Payload, schema: Schema | None) -> str:
    """A sentence on what a model may have failed at; empty where nothing stands out."""
    if not isinstance(payload, Table):
        return ""
    names = payload.names if payload.names is not None else tuple(range(payload.width))
    for name, column in zip(names, payload.iter_columns(), strict=True):
        if column.dtype == object and len(column) and isinstance(column[0], list) and _takes_text(name, schema):
            return (
                f"Row 0, column {shortened(name)}, is a list where the model takes a text: send one text a row, such "
                'as {"inputs": ["a text", "another"]}.'
            )
    if not schema and (dates := date_texts(payload)):
        return (
            f"The package has no signature, so that the dates in {some(dates)} reach the model as text: package the "
            "model with a signature, or send Arrow or Parquet, whose dates are dates."
        )
    return ""


def _are_dates(column: Array) -> bool:
    if column.dtype.kind not in "OT":
        return False
    present = [cell for cell in column[:_LOOKED_AT].tolist() if not is_missing(cell)]
    return bool(present) and all(isinstance(cell, str) and _DATE.fullmatch(cell) for cell in present)


def _takes_text(name: Name, schema: Schema | None) -> bool:
    return any(isinstance(f, Field) and f.name in (None, name) and f.type is Scalar.STRING for f in schema or ())
