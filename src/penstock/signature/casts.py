"""One column into its type: whole arrays at once where numpy can, cell by cell where a cell may be at fault.

How forgiving a cast is depends on where the cells come from (`Casting`): JSON frames and JSON arrays are read as
MLflow reads them, text is parsed, and typed sources (Parquet, Arrow, arrays handed over in Python) are only widened.
Where MLflow's casts corrupt data silently (wrapped integers, truncated floats, "false" read as true), we refuse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from penstock.payload import Array, as_object_array, shortened
from penstock.signature.cells import Misfit, cell_reader
from penstock.signature.types import Scalar, Type


class Casting(Enum):
    """Where the cells of a payload come from, hence how they are read."""

    FRAME = "frame"  # dataframe_split and dataframe_records: JSON cells, cast leniently
    TENSOR = "tensor"  # inputs and instances: JSON values, cast as numpy would, never past the range
    TEXT = "text"  # CSV: every cell is text or missing
    TYPED = "typed"  # cells that have a type already: only widening is allowed


@dataclass(frozen=True, slots=True)
class Cast:
    """A column after its cast. `misfits` are (row, reason); where there are any, `column` is not to be used."""

    column: Array
    misfits: tuple[tuple[int, str], ...] = ()


def cast(column: Array, type_: Type, casting: Casting, *, limit: int | None = None) -> Cast:
    """`column` (rows,) as `type_`, or the cells that do not fit, `limit` of them at most."""
    if not isinstance(type_, Scalar):
        return _cast_cells(column, type_, casting, limit)
    if column.dtype == type_.dtype and column.dtype != object:
        return Cast(column)
    if casting is Casting.TYPED and (refused := _refuse_narrowing(column, type_)):
        return Cast(column, ((0, refused),))
    if column.dtype.kind in "biuf" and type_ in _VECTOR:
        return _VECTOR[type_](column, limit)
    if column.dtype.kind == "M" and type_ is Scalar.DATETIME:
        return Cast(column.astype(type_.dtype))
    if (
        type_ in (Scalar.DOUBLE, Scalar.LONG)
        and column.dtype.kind == "O"
        and (quick := _parse_text(column, type_)) is not None
    ):
        return Cast(quick)
    return _cast_cells(column, type_, casting, limit)


def _parse_text(column: Array, type_: Scalar) -> Array | None:
    """All cells text that numpy parses in one go: the common CSV column. None where a cell needs a closer look."""
    if not len(column) or type(column[0]) is not str:
        return None
    try:
        if not all(type(cell) is str for cell in column):
            return None
        return column.astype(type_.dtype)
    except (ValueError, OverflowError):
        return None


def _cast_cells(column: Array, type_: Type, casting: Casting, limit: int | None) -> Cast:
    read = cell_reader(type_, casting.value)
    cells: list[Any] = []
    misfits: list[tuple[int, str]] = []
    for row, cell in enumerate(column.tolist() if column.dtype.kind != "M" else column):
        try:
            cells.append(read(cell))
        except Misfit as misfit:
            cells.append(None)
            misfits.append((row, str(misfit)))
            if len(misfits) == limit:
                break
    if misfits:
        return Cast(column, tuple(misfits))
    if isinstance(type_, Scalar) and type_.dtype != object and not any(cell is None for cell in cells):
        return Cast(np.array(cells, dtype=type_.dtype))
    return Cast(as_object_array(cells))


def _misfits(bad: Array, column: Array, say: Callable[[Any], str], limit: int | None) -> tuple[tuple[int, str], ...]:
    rows = np.flatnonzero(bad)[:limit]
    return tuple((int(row), say(column[row].item())) for row in rows)


def _to_float(type_: Scalar) -> Callable[[Array, int | None], Cast]:
    def vector(column: Array, limit: int | None) -> Cast:
        with np.errstate(over="ignore"):
            result = column.astype(type_.dtype)
        if column.dtype.kind == "f" and column.dtype.itemsize > type_.dtype.itemsize:
            bad = np.isinf(result) & np.isfinite(column)
            if bad.any():
                return Cast(column, _misfits(bad, column, lambda v: f"{v!r} is out of range for {type_}", limit))
        return Cast(result)

    return vector


def _to_int(type_: Scalar) -> Callable[[Array, int | None], Cast]:
    info = np.iinfo(type_.dtype)

    def say(value: Any) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return f"{'a missing value' if math.isnan(value) else repr(value)} cannot be {type_}"
        if isinstance(value, float) and not value.is_integer():
            return f"{value!r} is not a whole number ({type_})"
        return f"{value!r} is out of range for {type_}"

    def vector(column: Array, limit: int | None) -> Cast:
        if column.dtype.kind == "f":
            # A float equal to 2**63 is past the range although comparing it with the integer limit says otherwise.
            top = np.float64(info.max) if info.bits < 64 else np.nextafter(np.float64(2**63), 0)
            bad = ~((column >= info.min) & (column <= top) & (np.floor(column) == column))
        else:
            bad = (column < info.min) | (column > info.max)
        if bad.any():
            return Cast(column, _misfits(bad, column, say, limit))
        return Cast(column.astype(type_.dtype))

    return vector


def _to_bool(column: Array, limit: int | None) -> Cast:
    bad = ~((column == 0) | (column == 1))
    if bad.any():
        return Cast(column, _misfits(bad, column, lambda v: f"{v!r} is not a boolean", limit))
    return Cast(column.astype(bool))


_VECTOR: dict[Scalar, Callable[[Array, int | None], Cast]] = {
    Scalar.DOUBLE: _to_float(Scalar.DOUBLE),
    Scalar.FLOAT: _to_float(Scalar.FLOAT),
    Scalar.LONG: _to_int(Scalar.LONG),
    Scalar.INTEGER: _to_int(Scalar.INTEGER),
    Scalar.BOOLEAN: _to_bool,
}

# Which dtypes (numpy kind and bytes) a typed column may have to be widened to a type; anything else is refused.
_WIDENS: dict[Scalar, set[str]] = {
    Scalar.BOOLEAN: {"b1"},
    Scalar.INTEGER: {"i1", "i2", "i4", "u1", "u2"},
    Scalar.LONG: {"i1", "i2", "i4", "i8", "u1", "u2", "u4"},
    Scalar.FLOAT: {"f2", "f4", "i1", "i2", "u1", "u2"},
    Scalar.DOUBLE: {"f2", "f4", "f8", "i1", "i2", "i4", "u1", "u2", "u4"},
    Scalar.STRING: set(),
    Scalar.BINARY: set(),
    Scalar.DATETIME: set(),
}


def _refuse_narrowing(column: Array, type_: Scalar) -> str:
    """Why a typed column may not become `type_`, or nothing. Object columns are looked at cell by cell later."""
    kind = column.dtype.kind
    if (
        kind in "OUS"
        or (kind == "M" and type_ is Scalar.DATETIME)
        or f"{kind}{column.dtype.itemsize}" in _WIDENS[type_]
    ):
        return ""
    if type_ is Scalar.DOUBLE and kind == "i" and ((column == 0) | (column == 1)).all():
        return ""  # MLflow's exception: a column of zeros and ones may have lost its decimal points
    example = shortened(column[0].item()) if len(column) else "no rows"
    return f"{column.dtype} cannot become {type_} without a chance of loss ({example})"
