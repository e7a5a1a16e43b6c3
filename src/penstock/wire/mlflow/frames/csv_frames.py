"""CSV to what a model that is handed frames gets: read by pandas wherever pandas reads it soundly.

pandas decides what MLflow's server answers, so it has the first word. Before it, rows of another width than the
header's are refused, which it would shift or pad. After it, whole numbers that it took through floats are read again,
and moments and base64 are read as in every CSV. What it refuses is looked at once more by the rules of
`penstock.wire.csv`, which know the row, the column and the value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import MAX_VIOLATIONS, Array, Name, Payload, Violation
from penstock.signature import Casting, Field, Scalar, Schema
from penstock.signature.casts import cast
from penstock.wire.budget import Budget
from penstock.wire.csv import check_head, check_utf8, check_widths, open_text, own_names, text_columns
from penstock.wire.csv.records import BOM, all_ends, without_blanks
from penstock.wire.mlflow.frames.enforcing import enforce

# Columns that pandas hands over as text, to be read by the rules of every CSV.
_AS_TEXT = (Scalar.DATETIME, Scalar.BINARY)
# Whole numbers from here on are not what they were once they are floats.
_PAST_FLOATS = 2.0**53


def read_csv(body: bytes, schema: Schema | None, budget: Budget | None = None) -> Payload:
    """What the model gets for a CSV body. Raises MalformedInput, InputTooLarge, SchemaViolation."""
    types = _types(schema)
    check_utf8(body)
    check_head(body, len(types), budget)
    body = _without_blank_lines(body)
    try:
        frame = _read(body, types)
    except MemoryError:
        raise
    except Exception as error:  # what it says names neither row nor value
        if "out of memory" in str(error):  # the words of the parser in C
            raise MemoryError from None
        frame = _read_by_cells(body, types)
    if _has_gaps_at_the_end(frame):  # so it is where pandas has filled up a row
        check_widths(body)
    for key, label in _found(frame, types):
        if types[key] in _AS_TEXT:
            cells = frame[label].to_numpy(dtype=object)
            frame[label] = _from_text(cells, types[key], label, _epoch(schema, key))
    _check_infinite(frame, body, {label for _, label in _found(frame, types)} if types else set(frame.columns))
    if schema and any(type(field.name) is int for field in schema):
        frame.columns = own_names(frame.columns, schema)
    return enforce(frame, schema)


def _has_gaps_at_the_end(frame: Any) -> bool:
    last = frame[frame.columns[-1]]
    return last.dtype.kind not in "biu" and bool(last.isna().any())


def _without_blank_lines(body: bytes) -> bytes:
    """The same where lines end with a carriage return alone: after a blank one pandas loses a cell that is empty."""
    if (returns := body.count(b"\r")) == 0 or returns == body.count(b"\r\n"):
        return body
    body = body.removeprefix(BOM)
    return without_blanks(body, all_ends(body)[0])[0]


def _types(schema: Schema | None) -> dict[Name, Scalar]:
    """The type of each column that the model takes, by its name in the header or else by its place. Raises
    MalformedInput."""
    types: dict[Name, Scalar] = {}
    for position, field in enumerate(schema or ()):
        if not isinstance(field, Field) or not isinstance(field.type, Scalar):
            raise MalformedInput("The inputs of this model cannot be sent as CSV.", hint="Send JSON, Parquet or Arrow.")
        types[str(field.name) if field.name is not None else position] = field.type
    return types


def _found(frame: Any, types: dict[Name, Scalar]) -> list[tuple[Name, Any]]:
    """The keys of the columns that are there, each with the column's label."""
    labels = list(frame.columns)
    known = set(labels)
    by_place = [(key, labels[key]) for key in types if isinstance(key, int) and key < len(labels)]
    return by_place + [(key, key) for key in types if isinstance(key, str) and key in known]


def _read(body: bytes, types: dict[Name, Scalar]) -> Any:
    """pandas' frame, its whole numbers exact. Raises what pandas raises, and SchemaViolation.

    Whole numbers are left to its own guess at first: where it takes them for floats, it would make whole numbers of
    those, too, if it was asked to, with digits lost."""
    import pandas as pd

    dtypes = {key: object if type_ in _AS_TEXT else type_.dtype for key, type_ in types.items()}
    guessed = {key: dtype for key, dtype in dtypes.items() if types[key] is not Scalar.LONG}
    frame = pd.read_csv(open_text(body), dtype=guessed)
    for key, label in _found(frame, types):
        if types[key] is not Scalar.LONG or frame[label].dtype == np.int64:
            continue
        values = frame[label].to_numpy()
        if values.dtype != np.float64 or not len(values) or not (np.abs(values) < _PAST_FLOATS).all():
            return _read_again(body, dtypes, types)
        if (np.floor(values) != values).any():
            return _read_again(body, dtypes, types)
        frame[label] = values.astype(np.int64)
    return frame


def _read_again(body: bytes, dtypes: dict[Name, Any], types: dict[Name, Scalar]) -> Any:
    import pandas as pd

    with np.errstate(invalid="ignore"):
        frame = pd.read_csv(open_text(body), dtype=dtypes)
    cells = pd.read_csv(open_text(body), dtype=str, keep_default_na=False)
    for key, label in _found(frame, types):
        if types[key] is Scalar.LONG:
            frame[label] = _from_text(cells[label].to_numpy(dtype=object), Scalar.LONG, label)
    return frame


def _epoch(schema: Schema | None, key: Name) -> str:
    """The unit of numbers in a column of datetimes, by a key of `_types`."""
    fields = [field for field in schema or () if isinstance(field, Field)]
    return next((f.epoch for i, f in enumerate(fields) if key in (i if f.name is None else str(f.name),)), "")


def _from_text(cells: Array, type_: Scalar, label: Name, epoch: str = "") -> Array:
    """Raises SchemaViolation."""
    found = cast(cells, type_, Casting.TEXT, limit=MAX_VIOLATIONS, epoch=epoch)
    if found.misfits:
        raise SchemaViolation([Violation(reason, row, label, at_parse=True) for row, reason in found.misfits])
    column = found.column
    if type_ is Scalar.BINARY:
        column = column.copy()
        column[[cell is None for cell in column]] = np.nan  # as pandas has missing cells
    return column


def _read_by_cells(body: bytes, types: dict[Name, Scalar]) -> Any:
    """A frame of columns that pandas refuses, cell by cell as in any CSV: it judges whole columns, so not even true and
    1 go together. Raises MalformedInput, SchemaViolation."""
    import pandas as pd

    names, columns = text_columns(body)
    try:
        as_text = {key: type_.dtype if type_ is Scalar.STRING else object for key, type_ in types.items()}
        frame = pd.read_csv(open_text(body), dtype=as_text)
    except MemoryError:
        raise
    except Exception:
        raise MalformedInput("The CSV cannot be read as a table.") from None
    violations: list[Violation] = []
    for key, label in _found(frame, types):
        if types[key] in (Scalar.STRING, *_AS_TEXT):
            continue
        found = cast(columns[names.index(label)], types[key], Casting.TEXT, limit=MAX_VIOLATIONS)
        violations += [Violation(reason, row, label, at_parse=True) for row, reason in found.misfits]
        frame[label] = found.column
    if violations:
        raise SchemaViolation(sorted(violations, key=lambda v: v.row or 0)[:MAX_VIOLATIONS])
    return frame


def _check_infinite(frame: Any, body: bytes, taken: set[Any]) -> None:
    """A number that grew past its type is no infinity that anybody meant, in a column that the model has `taken`.
    Raises MalformedInput."""
    import pandas as pd

    kinds = zip(frame.columns, frame.dtypes, strict=True)
    grown = [i for i, (label, dtype) in enumerate(kinds) if label in taken and getattr(dtype, "kind", "") == "f"]
    grown = [i for i in grown if np.isinf(frame.iloc[:, i].to_numpy()).any()]
    if not grown:
        return
    cells = pd.read_csv(open_text(body), dtype=str, keep_default_na=False)
    for column in grown:
        infinite = np.isinf(frame.iloc[:, column].to_numpy())
        for row in np.flatnonzero(infinite):
            if "inf" not in str(cells.iloc[row, column]).lower():
                name = frame.columns[column]
                raise MalformedInput(f"Row {row}, column {name!r}: {cells.iloc[row, column]} is out of range.")
