"""Settled columns as Arrow's: typed where every cell is of one kind, and JSON text, marked as such, where not.

Nothing is changed on the way into a type: no number loses digits, no object gets keys that it did not have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.payload import TEXT, Array
from penstock.wire.answers.texts import json_text

if TYPE_CHECKING:
    from pyarrow import Array as ArrowArray
    from pyarrow import DataType as ArrowType
    from pyarrow import Field as ArrowField
    from pyarrow import Table as ArrowTable

# Says of a column of text that each cell is JSON.
JSON_CELLS = {b"penstock.cells": b"json"}

_EXACT = 2**53


def is_json(field: ArrowField) -> bool:
    return bool(field.metadata) and field.metadata.get(b"penstock.cells") == b"json"


def arrow_table(columns: Mapping[str, Array], json_names: frozenset[str] = frozenset()) -> ArrowTable:
    """A pyarrow.Table of settled columns, those in `json_names` as JSON text whatever they hold."""
    import pyarrow as pa

    fields, arrays = [], []
    for name, column in columns.items():
        array = None if name in json_names else _typed(column)
        if array is None:
            texts = [json_text(cell) for cell in _cells(column)]
            array = pa.array([None if text == "null" else text for text in texts], pa.string())
            fields.append(pa.field(name, array.type, metadata=JSON_CELLS))
        else:
            fields.append(pa.field(name, array.type))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _cells(column: Array) -> list[Any]:
    if column.dtype.kind in "mM":
        return [None if np.isnat(cell) else cell for cell in column]
    return column.tolist()  # type: ignore[no-any-return]


def _typed(column: Array) -> ArrowArray | None:
    """None where no one type says every cell."""
    import pyarrow as pa

    if column.dtype == object:
        return _of_cells(column.tolist())
    if column.dtype.kind == TEXT.kind:
        return pa.array(column.astype(object), pa.string(), from_pandas=True)
    column = np.ascontiguousarray(column)
    if column.dtype.kind in "iuf":
        # What pa.array makes of it as well; but that imports pandas first, where it is installed, just to ask.
        return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [None, pa.py_buffer(column)])
    return pa.array(column)


def _of_cells(cells: list[Any]) -> ArrowArray | None:
    import pyarrow as pa

    kinds = set(map(type, cells)) - {NoneType}
    if float in kinds and not kinds <= {float, int}:  # beside anything else it is how pandas says that one is missing
        cells = [None if type(cell) is float and math.isnan(cell) else cell for cell in cells]
        kinds = set(map(type, cells)) - {NoneType}
    if not kinds:
        return pa.nulls(len(cells))
    if kinds <= {int, float}:
        return _numbers(cells, kinds)
    if kinds <= {Decimal, int}:
        return _decimals(cells)
    if kinds == {np.timedelta64}:
        return pa.array(np.array([np.timedelta64("NaT") if c is None else c for c in cells], "timedelta64[ns]"))
    if all(issubclass(kind, (datetime, np.datetime64)) for kind in kinds):
        return _moments(cells)
    if kinds == {time}:
        return None if any(c is not None and c.tzinfo is not None for c in cells) else pa.array(cells, pa.time64("us"))
    if len(kinds) == 1 and (type_ := _plain_types().get(next(iter(kinds)))) is not None:
        return pa.array(cells, type_)
    return _nested(cells) if kinds == {list} or kinds == {dict} else None


def _plain_types() -> dict[type, ArrowType]:
    import pyarrow as pa

    return {bool: pa.bool_(), str: pa.string(), bytes: pa.binary(), date: pa.date32()}


def _numbers(cells: list[Any], kinds: set[type]) -> ArrowArray | None:
    import pyarrow as pa

    wholes = [cell for cell in cells if type(cell) is int]
    if float in kinds:
        return None if any(abs(cell) > _EXACT for cell in wholes) else pa.array(cells, pa.float64())
    least, most = min(wholes), max(wholes)
    if least >= -(2**63) and most < 2**63:
        return pa.array(cells, pa.int64())
    if least >= 0 and most < 2**64:
        return pa.array(cells, pa.uint64())
    return _decimals(cells)


_WIDEST = 76  # digits of Arrow's decimals


def _decimals(cells: list[Any]) -> ArrowArray | None:
    import pyarrow as pa

    numbers = [Decimal(cell) if type(cell) is int else cell for cell in cells]
    numbers = [None if cell is None or cell.is_nan() else cell for cell in numbers]
    present = [cell for cell in numbers if cell is not None]
    if not all(cell.is_finite() for cell in present):
        return None
    scale = max((max(0, -int(cell.as_tuple().exponent)) for cell in present), default=0)
    whole = max((max(0, cell.adjusted() + 1) for cell in present), default=0)
    if whole + scale > _WIDEST:
        return None
    # As wide as there is, so that a later row's larger number has room.
    wide = pa.decimal128(38, scale) if whole + scale <= 38 else pa.decimal256(_WIDEST, scale)
    return pa.array(numbers, wide)


def _moments(cells: list[Any]) -> ArrowArray | None:
    """None where they have several zones, some of them none, or digits and years that do not go together."""
    import pyarrow as pa

    present = [cell for cell in cells if cell is not None]
    zones = {getattr(cell, "tzinfo", None) for cell in present}
    if len(zones) > 1 or any(getattr(cell, "nanosecond", 0) for cell in present):
        return None
    if zones != {None}:
        try:
            return pa.array(cells)  # Arrow has a name for the zone, or not
        except (pa.ArrowException, ValueError, TypeError):
            return None
    units = {np.datetime_data(cell.dtype)[0] for cell in present if isinstance(cell, np.datetime64)}
    if units == {"D"} and all(isinstance(cell, np.datetime64) for cell in present):
        return pa.array(np.array([np.datetime64("NaT") if c is None else c for c in cells], "datetime64[D]"))
    wanted = np.dtype("datetime64[ns]" if "ns" in units else "datetime64[us]")
    found = np.array([np.datetime64("NaT") if cell is None else np.datetime64(cell) for cell in cells])
    moved = found.astype(wanted)
    fits = (moved.astype(found.dtype) == found) | np.isnat(found)
    return pa.array(moved) if fits.all() else None


def _nested(cells: list[Any]) -> ArrowArray | None:
    import pyarrow as pa

    try:
        array = pa.array(cells)
        return array if _has_fields(array.type) and _agree(array.to_pylist(), cells) else None
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return None


def _has_fields(type_: ArrowType) -> bool:
    """Parquet has no form for an object without keys."""
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return type_.num_fields > 0 and all(_has_fields(field.type) for field in type_)
    return not pa.types.is_nested(type_) or _has_fields(type_.value_type)


def _agree(found: Any, cell: Any) -> bool:
    """Whether Arrow gives back what it got."""
    if isinstance(cell, list):
        return isinstance(found, list) and len(found) == len(cell) and all(map(_agree, found, cell))
    if isinstance(cell, dict):
        return isinstance(found, dict) and found.keys() == cell.keys() and all(_agree(found[k], cell[k]) for k in cell)
    if isinstance(cell, float):
        return isinstance(found, float) and (found == cell or (found != found and cell != cell))
    same_kind = type(found) is type(cell) or (type(cell) is int and type(found) is float)
    return same_kind and bool(found == cell)
