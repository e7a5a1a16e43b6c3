"""JSON rows and columns to tables and arrays, with as few Python objects on the way as the schema allows.

Nothing is cast here beyond what keeps every value as it was: a column of numbers becomes an array of numbers, anything
mixed becomes an object array that `conform` looks at cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from penstock.errors import MalformedInput
from penstock.payload import Array, Name, Table, as_object_array, shortened
from penstock.signature import Field, Scalar, Schema, TensorField
from penstock.wire.json_sizes import pads_texts

_FLOATING = (Scalar.DOUBLE, Scalar.FLOAT)


def table_of_rows(names: Sequence[Name] | None, rows: Any, schema: Schema | None, index: Any = None) -> Table:
    """A table of JSON rows (a list of lists of equal length). Raises MalformedInput."""
    if not isinstance(rows, list):
        raise MalformedInput(f"The rows must be a list of lists, not {shortened(rows)}.")
    labels = _index(index, len(rows))
    if rows and not isinstance(rows[0], list):
        if any(isinstance(row, (list, dict)) for row in rows):
            raise MalformedInput("Every row must be a list of cells.")
        rows = [[cell] for cell in rows]  # pandas reads a flat list as one column
    block = _float_block(rows, schema)
    if block is None:
        width = max((len(row) for row in rows if isinstance(row, list)), default=len(names or ()))
        for number, row in enumerate(rows):
            if not isinstance(row, list):
                raise MalformedInput(f"Row {number} must be a list of {width} cells, not {shortened(row)}.")
        rows = [row if len(row) == width else row + [None] * (width - len(row)) for row in rows]
        _check_width(names, width)
        columns = [column_of(cells, known=schema is not None) for cells in zip(*rows, strict=True)]
        if not rows:
            columns = [np.empty(0, dtype=np.float64 if schema else object) for _ in range(width)]
        return Table.of(names, columns, labels) if columns else Table(_tuple(names), columns=(), index=labels)
    _check_width(names, block.shape[1])
    return Table(_tuple(names), block=block, index=labels)


def _tuple(names: Sequence[Name] | None) -> tuple[Name, ...] | None:
    return None if names is None else tuple(names)


def _check_width(names: Sequence[Name] | None, width: int) -> None:
    if names is not None and len(names) != width:
        raise MalformedInput(f"There are {len(names)} column names, but the rows have {width} cells.")


def _index(index: Any, rows: int) -> Array | None:
    if index is None:
        return None
    if not isinstance(index, list) or len(index) != rows:
        raise MalformedInput(f"The index must be a list of {rows} labels, one for each row.")
    if any(isinstance(label, (list, dict)) for label in index):
        return None  # labels of several levels, which only frames have
    return column_of(index, known=False)


def _float_block(rows: list[Any], schema: Schema | None) -> Array | None:
    """One contiguous block straight from JSON, where the model takes floats alone; None where that cannot be done.

    Only then is it safe: numpy would push whole numbers through floats, and lose digits, in a mixed block.
    """
    if not rows or not schema or not all(map(_takes_floats, schema)):
        return None
    try:
        block = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    # An infinity may be a number too large to read; `conform` looks at such cells one by one.
    return None if block.ndim != 2 or np.isinf(block).any() else block


def _takes_floats(field: Field | TensorField) -> bool:
    return field.type in _FLOATING if isinstance(field, Field) else field.dtype.kind == "f" and len(field.shape) == 2


def table_of_records(records: list[Any], schema: Schema | None) -> Table:
    """A table of JSON objects; columns in the order in which they are first seen. Raises MalformedInput."""
    if records and all(isinstance(record, list) for record in records):
        return table_of_rows(None, records, schema)
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise MalformedInput(f"Record {number} must be an object, not {shortened(record)}.")
    if not records:
        return Table((), columns=())
    names = list(records[0])
    first = records[0].keys()
    if all(record.keys() == first for record in records):
        return table_of_rows(names, [[record[name] for name in names] for record in records], schema)
    names = list(dict.fromkeys(name for record in records for name in record))
    return table_of_rows(names, [[record.get(name) for name in names] for record in records], schema)


def table_of_columns(columns: Mapping[str, Any]) -> Table:
    """A table of JSON lists by name, all of one length. Raises MalformedInput."""
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{shortened(name)}: {n}" for name, n in list(lengths.items())[:8])
        raise MalformedInput(f"The columns must have the same length ({found}).")
    return Table.of(list(columns), [column_of(cells, known=True) for cells in columns.values()])


def column_of(cells: Iterable[Any], *, known: bool) -> Array:
    """One column (rows,) with every value as it was.

    `known` says that a schema will be applied later; without one, numbers with gaps become floats as in pandas.
    """
    cells = list(cells)
    kinds = set(map(type, cells))
    if kinds == {float}:
        return np.array(cells, dtype=np.float64)
    if kinds == {int}:
        try:
            return np.array(cells, dtype=np.int64)
        except OverflowError:
            return as_object_array(cells)
    if kinds == {bool}:
        return np.array(cells, dtype=bool)
    if kinds == {float, type(None)} or (
        not known and kinds and kinds <= {int, float, type(None)} and kinds != {type(None)}
    ):
        try:
            return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
        except OverflowError:  # a whole number that no float reaches
            return as_object_array(cells)
    return as_object_array(cells)


def array_of(value: Any, dtype: np.dtype[Any] | None = None, *, exact: bool = False) -> Array:
    """A JSON value as an array of any rank, as numpy sees it. Ragged lists and mixed kinds become objects.

    `dtype` is what the schema asks for; floats are read at full width, and narrowed where the range is checked. With
    `exact`, or where the schema asks for whole numbers, those too large for a float are not pushed through one.
    """
    try:
        if dtype is not None and dtype.kind == "f":
            floats = np.array(value, dtype=np.float64)
            return floats if not np.isinf(floats).any() else np.array(value, dtype=object)
        if (dtype is not None and dtype.kind == "O") or pads_texts(value):
            return np.array(value, dtype=object)
        array = np.array(value)
    except (ValueError, TypeError, OverflowError):
        return as_object_array(value) if isinstance(value, list) else np.array(value, dtype=object)
    if (exact or (dtype is not None and dtype.kind in "iu")) and _lost_digits(array):
        return np.array(value, dtype=object)
    if array.dtype.kind in "US" and not _all_text(value):
        return np.array(value, dtype=object)  # numpy made text of numbers
    return array


def _lost_digits(array: Array) -> bool:
    """Whether numpy may have rounded whole numbers because a float stands beside them."""
    return array.dtype.kind == "f" and bool((np.abs(array) >= 2**53).any())


def _all_text(value: Any) -> bool:
    return all(_all_text(v) for v in value) if isinstance(value, list) else isinstance(value, str)
