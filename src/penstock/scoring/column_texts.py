"""Columns of a table as files of text have them: CSV's cells, and what JSON lines are made of.

Numbers, booleans and text go as Arrow has them; everything else as `wire/answers/texts` writes it, cell by cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from penstock.errors import CellHasNoForm, ScoringError
from penstock.payload import as_object_array
from penstock.wire.answers.arrow import is_json
from penstock.wire.answers.cells import settled
from penstock.wire.answers.texts import cell_text, json_text

if TYPE_CHECKING:
    from pyarrow import ChunkedArray
    from pyarrow import DataType as ArrowType
    from pyarrow import Field as ArrowField


def csv_column(column: ChunkedArray, field: ArrowField) -> ChunkedArray:
    """The column in a type that pyarrow writes as CSV has it: gaps are null, narrow floats have every digit, as in
    JSON. Raises ScoringError."""
    import pyarrow as pa

    column, kind = _decoded(column)
    if is_json(field):
        return pa.array([None if text is None else _unpacked(text) for text in column.to_pylist()], pa.string())
    if pa.types.is_floating(kind):
        return _without_nan(column.cast(pa.float64()))
    if _goes_as_it_is(kind) or pa.types.is_date32(kind):
        return column
    return pa.array(list(map(cell_text, _cells(column, kind, field.name))), pa.string())


def json_column(column: ChunkedArray, field: ArrowField) -> list[Any]:
    """The column's cells as orjson writes them. Raises ScoringError."""
    import pyarrow as pa

    column, kind = _decoded(column)
    if is_json(field):
        return [None if text is None else orjson.Fragment(text) for text in column.to_pylist()]
    if pa.types.is_floating(kind):
        return column.cast(pa.float64()).to_pylist()  # type: ignore[no-any-return]
    if _goes_as_it_is(kind):
        return column.to_pylist()  # type: ignore[no-any-return]
    return [orjson.Fragment(json_text(cell)) for cell in _cells(column, kind, field.name)]


def _decoded(column: ChunkedArray) -> tuple[ChunkedArray, ArrowType]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type), kind.value_type
    return column, kind


def _unpacked(text: str) -> str | None:
    """JSON as one cell: text without its quotes."""
    return cell_text(orjson.loads(text)) if text.startswith('"') else text


def _without_nan(column: ChunkedArray) -> ChunkedArray:
    """pyarrow would write the word."""
    from pyarrow import compute, scalar

    missing = compute.is_nan(column)
    return compute.if_else(missing, scalar(None, column.type), column) if compute.any(missing).as_py() else column


def _goes_as_it_is(kind: ArrowType) -> bool:
    import pyarrow as pa

    types = pa.types
    asked = (types.is_integer, types.is_boolean, types.is_string, types.is_large_string, types.is_null)
    return any(is_such(kind) for is_such in asked)


def _cells(column: ChunkedArray, kind: ArrowType, name: str) -> list[Any]:
    """Settled cells. Raises ScoringError for what Python or a table has no form for."""
    import pyarrow as pa

    types = pa.types
    try:
        if (types.is_timestamp(kind) and kind.tz is None) or types.is_duration(kind):
            # Straight to numpy: Python's own have microseconds, and end with the year 9999.
            found = column.combine_chunks().cast(pa.int64()).to_pylist()
            unit = np.dtype(f"{'m' if types.is_duration(kind) else 'M'}8[{kind.unit}]")
            typed = np.array(["NaT" if cell is None else cell for cell in found], dtype=unit)
            cells = settled(typed, name)
            return [None if np.isnat(cell) else cell for cell in cells]
        return settled(as_object_array(column.to_pylist()), name).tolist()  # type: ignore[no-any-return]
    except CellHasNoForm as error:
        raise ScoringError(f"Column {name!r} of the output has {error.found}.") from None
    except (pa.ArrowException, ValueError, OverflowError, ImportError):  # whose text quotes cells
        raise ScoringError(f"Column {name!r} of the output has a {kind} that cannot be written as text.") from None
