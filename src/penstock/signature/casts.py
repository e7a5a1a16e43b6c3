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
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from penstock.payload import TEXT, Array, as_object_array, clipped, shortened
from penstock.signature.cells import CellReader, cell_reader, element_reader
from penstock.signature.misfit import Misfit
from penstock.signature.moments import (
    OUT_OF_RANGE,
    finer_than_nanoseconds,
    moments_of_numbers,
    moments_of_texts,
    read_moment,
)
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


def cast(
    column: Array,
    type_: Type,
    casting: Casting,
    *,
    optional: bool = False,
    limit: int | None = None,
    epoch: str = "",
) -> Cast:
    """`column` (rows,) as `type_`, or the cells that do not fit, `limit` of them at most.

    In an `optional` column of lists or objects a missing cell is None; the other types decide for themselves. `epoch`
    is the unit of numbers in a column of datetimes.
    """
    if not isinstance(type_, Scalar):
        read = cell_reader(type_, casting.value)
        return _cast_cells(column, partial(_or_none, read) if optional else read, limit)
    if (column.dtype == type_.dtype and column.dtype != object) or (
        column.dtype.kind == TEXT.kind and type_ is Scalar.STRING
    ):
        return Cast(column)
    if type_ is Scalar.DATETIME:
        return cast_moments(column, epoch, limit)
    if casting is Casting.TYPED and (refused := _refuse_narrowing(column, type_)):
        return Cast(column, not_whole(column, type_, limit) or ((0, refused),))
    if (vector := _vector(column.dtype, type_.dtype)) is not None:
        return vector(column, type_.dtype, str(type_), limit)
    if (
        type_ in (Scalar.DOUBLE, Scalar.LONG)
        and column.dtype.kind == "O"
        and (quick := _parse_numbers(column, type_, casting)) is not None
    ):
        return Cast(quick)
    return _cast_cells(column, cell_reader(type_, casting.value), limit, type_.dtype)


def cast_moments(column: Array, epoch: str = "", limit: int | None = None) -> Cast:
    """Datetimes in nanoseconds, by one rule for all sources."""
    moments, kind = Scalar.DATETIME.dtype, column.dtype.kind
    if kind == "M":
        return _to_datetime(column, moments, "datetime", limit)
    quick = moments_of_texts(column.tolist()) if kind in "OUT" else None
    if epoch and kind in "iuf":
        quick = moments_of_numbers(column, epoch)
    return Cast(quick) if quick is not None else _cast_cells(column, partial(read_moment, epoch=epoch), limit, moments)


def not_whole(column: Array, type_: Scalar, limit: int | None) -> tuple[tuple[int, str], ...]:
    """The cells by which a column of floats cannot be one of whole numbers; none for any other columns."""
    if column.dtype.kind != "f" or type_ not in (Scalar.INTEGER, Scalar.LONG):
        return ()
    return _to_int(column, type_.dtype, str(type_), limit).misfits


def cast_elements(flat: Array, dtype: np.dtype[Any], name: str, casting: Casting, *, limit: int | None = None) -> Cast:
    """The elements (n,) of an array as `dtype`, or those that do not fit. Raises Misfit where all are at fault."""
    if (vector := _vector(flat.dtype, dtype)) is not None:
        return vector(flat, dtype, name, limit)
    if flat.dtype.kind in "biuf" and dtype.kind == "U":
        return Cast(flat.astype(dtype))
    read = element_reader(dtype, name, casting.value)
    if read is not None:
        return _cast_cells(flat, read, limit, dtype)
    try:
        return Cast(flat.astype(dtype))
    except (ValueError, TypeError, OverflowError) as error:
        raise Misfit(f"cannot be read as {name} ({clipped(str(error))})") from None


def _or_none(read: CellReader, cell: Any) -> Any:
    return None if cell is None or (isinstance(cell, float) and math.isnan(cell)) else read(cell)


def _parse_numbers(column: Array, type_: Scalar, casting: Casting) -> Array | None:
    """All cells text that numpy parses in one go: the common CSV column. None where a cell needs a closer look."""
    if not len(column) or type(column[0]) is not str:
        return None
    try:
        text = "".join(column.tolist())
    except TypeError:  # a cell is something else
        return None
    if "_" in text or (casting is Casting.TEXT and not text.isascii()):
        return None  # other scripts have digits as well, and blanks
    try:
        result = column.astype(type_.dtype)
    except (ValueError, OverflowError):
        return None
    return None if not np.isfinite(result).all() else result


def _cast_cells(column: Array, read: CellReader, limit: int | None, dtype: np.dtype[Any] | None = None) -> Cast:
    """Cell by cell; into an array of `dtype` unless a cell is None, or there is no dtype, which gives objects."""
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
    if dtype is not None and dtype.kind != "O" and not any(cell is None for cell in cells):
        return Cast(np.array(cells, dtype=dtype))
    return Cast(as_object_array(cells))


def _misfits(bad: Array, column: Array, say: Callable[[Any], str], limit: int | None) -> tuple[tuple[int, str], ...]:
    rows = np.flatnonzero(bad)[:limit]
    return tuple((int(row), say(column[row].item())) for row in rows)


def _to_float(column: Array, dtype: np.dtype[Any], name: str, limit: int | None) -> Cast:
    with np.errstate(over="ignore"):
        result = column.astype(dtype)
    bad = np.isinf(result) & np.isfinite(column)
    if bad.any():
        return Cast(column, _misfits(bad, column, lambda v: f"{v!r} is out of range for {name}", limit))
    return Cast(result)


def _to_int(column: Array, dtype: np.dtype[Any], name: str, limit: int | None) -> Cast:
    info = np.iinfo(dtype)

    def say(value: Any) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return f"{'a missing value' if math.isnan(value) else repr(value)} cannot be {name}"
        if isinstance(value, float) and not value.is_integer():
            return f"{value!r} is not a whole number ({name})"
        return f"{value!r} is out of range for {name}"

    if column.dtype.kind == "f":
        # Compared as doubles, in which the largest 64-bit integers round up to a power of two that is out of range.
        wide, past = column.astype(np.float64), 2.0 ** (info.bits - (info.min < 0))
        bad = ~((wide >= float(info.min)) & (wide < past) & (np.floor(wide) == wide))
    else:
        bad = (column < info.min) | (column > info.max)
    if bad.any():
        return Cast(column, _misfits(bad, column, say, limit))
    return Cast(column.astype(dtype))


def _to_bool(column: Array, dtype: np.dtype[Any], name: str, limit: int | None) -> Cast:
    bad = ~((column == 0) | (column == 1))
    if bad.any():
        return Cast(column, _misfits(bad, column, lambda v: f"{v!r} is not a boolean", limit))
    return Cast(column.astype(dtype))


def _to_datetime(column: Array, dtype: np.dtype[Any], name: str, limit: int | None) -> Cast:
    result = column.astype(dtype)
    bad = ~np.isnat(column) & (result.astype(column.dtype) != column)
    if bad.any() and not finer_than_nanoseconds(column.dtype):
        return Cast(column, _misfits(bad, column, lambda v: f"{v!s} {OUT_OF_RANGE}", limit))
    return Cast(result)


_Vector: TypeAlias = Callable[[Array, np.dtype[Any], str, int | None], Cast]
_VECTOR: dict[str, _Vector] = {"f": _to_float, "i": _to_int, "u": _to_int, "b": _to_bool}


def _vector(source: np.dtype[Any], target: np.dtype[Any]) -> _Vector | None:
    """The cast that takes all cells at once, where numpy has one that loses nothing unseen."""
    if source.kind in "biuf":
        return _VECTOR.get(target.kind)
    return _to_datetime if source.kind == target.kind == "M" else None


# Which dtypes (numpy kind and bytes) a typed column may have to be widened to a type; anything else is refused.
_WIDENS: dict[Scalar, set[str]] = {
    Scalar.BOOLEAN: {"b1"},
    Scalar.INTEGER: {"i1", "i2", "i4", "u1", "u2"},
    Scalar.LONG: {"i1", "i2", "i4", "i8", "u1", "u2", "u4"},
    Scalar.FLOAT: {"f2", "f4", "i1", "i2", "u1", "u2"},
    Scalar.DOUBLE: {"f2", "f4", "f8", "i1", "i2", "i4", "u1", "u2", "u4"},
    Scalar.STRING: set(),
    Scalar.BINARY: set(),
}


def _refuse_narrowing(column: Array, type_: Scalar) -> str:
    """Why a typed column may not become `type_`, or nothing. Object columns are looked at cell by cell later."""
    kind = column.dtype.kind
    if kind in "OUS" or f"{kind}{column.dtype.itemsize}" in _WIDENS[type_]:
        return ""
    if type_ is Scalar.DOUBLE and kind == "i" and ((column == 0) | (column == 1)).all():
        return ""  # MLflow's exception: a column of zeros and ones may have lost its decimal points
    example = shortened(column[0].item()) if len(column) else "no rows"
    return f"{column.dtype} cannot be converted to {type_} without possible loss of data ({example})"
