"""Frames of JSON cells, cast column by column towards the signature: whatever `astype` takes passes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import MAX_VIOLATIONS, Name, Violation, shortened
from penstock.signature import (
    AnyValue,
    Field,
    Misfit,
    Scalar,
    Schema,
    TensorField,
    Type,
    check_moments,
    is_tensor_schema,
)
from penstock.wire.mlflow.frames.corruption import as_meant, checked, corruption, leaves
from penstock.wire.mlflow.frames.faults import Wanted, certain_fault, column_faults, fault
from penstock.wire.mlflow.frames.frame_cells import enforce_cell
from penstock.wire.mlflow.frames.frame_moments import has_moments, is_moments, read_series, with_moments


def cast_frame(frame: Any, schema: Schema, *, exact: bool) -> tuple[Any, list[Violation]]:
    """The frame with every column that the schema knows cast, and the cells that did not survive it. With `exact`
    whatever `astype` makes of a cell has survived.

    Raises SchemaViolation, which names rows and columns that cannot be cast.
    """
    violations: list[Violation] = []
    corrupted: list[Violation] = []
    try:
        present = set(frame.columns)
    except TypeError:
        raise MalformedInput("Column names must be text or numbers.") from None
    for name, field in _wanted(frame, schema):
        if name not in present:
            continue
        if isinstance(field, Field) and is_moments(field) and not exact and frame[name].ndim == 1:
            frame[name], misfits = read_series(frame[name], field, name, at_parse=True)
            violations += misfits
            continue
        cast = _tensor_cast(field, exact) if isinstance(field, TensorField) else _column_cast(field, exact)
        try:
            corrupted += [] if exact else _corrupted(frame[name], field, name)
            with np.errstate(over="ignore", invalid="ignore"):
                frame[name] = cast(frame[name])
        except MemoryError:
            raise
        except Exception:
            if frame[name].ndim > 1:
                twice = Violation(f"duplicate columns: {shortened(name)}", at_parse=True)
                raise SchemaViolation([twice]) from None
            wanted = field.dtype if isinstance(field, TensorField) else field.type
            violations += _culprits(frame[name], cast, wanted, name)
    if violations:
        raise SchemaViolation(_in_order(violations))
    return frame, _in_order(corrupted)


def _in_order(violations: list[Violation]) -> list[Violation]:
    return sorted(violations, key=lambda v: v.row or 0)[:MAX_VIOLATIONS]


def _wanted(frame: Any, schema: Schema) -> list[tuple[Any, Field | TensorField]]:
    """Columns by name; those of a frame for one array all alike; unnamed ones by position."""
    if schema[0].name is not None:
        return [(field.name, field) for field in schema]
    if is_tensor_schema(schema):
        return [(name, schema[0]) for name in frame.columns]
    # Whether a column may be empty goes by its name, which is a number only where the frame has none.
    fields: tuple[Field, ...] = schema  # type: ignore[assignment]
    return [
        (name, replace(field, required=field.required and name == i))
        for i, (name, field) in enumerate(zip(frame.columns, fields, strict=False))
    ]


def _column_cast(field: Field, exact: bool) -> Callable[[Any], Any]:
    type_: Type = field.type
    if isinstance(type_, AnyValue):
        return _unchanged
    if not isinstance(type_, Scalar):
        return partial(_cells, type_, field.required, has_moments(type_) and not exact)
    if type_ is Scalar.BOOLEAN:
        return _truth if exact else _boolean
    return _SCALARS.get(type_, partial(_plain, type_.dtype))


def _tensor_cast(field: TensorField, exact: bool) -> Callable[[Any], Any]:
    if field.dtype.kind == "M" and not exact:
        return partial(_moment_items, field.dtype)
    return partial(_items, field.dtype)


def _unchanged(values: Any) -> Any:
    return values


def _cells(type_: Type, required: bool, moments: bool, values: Any) -> Any:
    if moments:
        values = values.map(lambda cell: with_moments(cell, type_))
    return values.map(lambda cell: enforce_cell(cell, type_, required=required))


def _binary(values: Any) -> Any:
    return values.map(lambda cell: base64.decodebytes(bytes(cell, "utf8")))


def _boolean(values: Any) -> Any:
    return _truth(values.map(as_meant) if values.dtype.kind not in "biuf" else values)


def _truth(values: Any) -> Any:
    """Whatever is not empty is true."""
    gone = values.isna()
    return values.where(gone, values.astype(bool)) if gone.any() else values.astype(bool)


def _moment(values: Any) -> Any:
    import pandas as pd

    if values.dtype.kind not in "Miuf":
        check_moments(values)
    found = pd.to_datetime(values)
    if pd.api.types.is_datetime64_any_dtype(found) and getattr(found.dt, "unit", "ns") != "ns":
        found = found.dt.as_unit("ns")
    return found


_SCALARS: dict[Scalar, Callable[[Any], Any]] = {
    Scalar.BINARY: _binary,
    Scalar.DATETIME: _moment,
}


def _plain(dtype: np.dtype[Any], values: Any) -> Any:
    import pandas as pd

    if dtype.kind in "OU" and isinstance(values.dtype, pd.StringDtype):
        return values
    if dtype.kind == "M" and values.dtype.kind not in "Miuf":
        check_moments(values)
    return values.astype(dtype)


def _items(dtype: np.dtype[Any], values: Any) -> Any:
    """Lists are left for the second stage, which knows their shape."""
    if dtype.kind == "S":
        return values.map(lambda cell: bytes(cell, "utf8"))
    if isinstance(values.iloc[0], list):
        return values
    return _plain(dtype, values)


def _moment_items(dtype: np.dtype[Any], values: Any) -> Any:
    return _items(dtype, values.map(lambda cell: checked(cell, dtype)))


def _corrupted(values: Any, field: Field | TensorField, label: Name) -> list[Violation]:
    dtype = field.dtype if isinstance(field, TensorField) else getattr(field.type, "dtype", None)
    if dtype is None or values.ndim > 1 or (says := corruption(dtype)) is None or values.dtype == dtype:
        return []
    if values.dtype.kind in "iu" and dtype.kind == "f" and dtype.itemsize >= 4:
        return []
    found: list[Violation] = []
    for row, cell in enumerate(values.tolist()):
        if reason := next(filter(None, map(says, leaves(cell))), "") if isinstance(cell, list) else says(cell):
            found.append(Violation(reason, row, label, at_parse=True))
            if len(found) == MAX_VIOLATIONS:
                break
    return found


def _culprits(values: Any, cast: Callable[[Any], Any], wanted: Wanted, label: Name) -> list[Violation]:
    """The rows that fail by themselves, by halving; the whole column where none does."""
    found: list[Violation] = []
    waiting = [(0, len(values))]
    while waiting and len(found) < MAX_VIOLATIONS:
        start, end = waiting.pop()
        try:
            cast(values.iloc[start:end])
        except Misfit as misfit:
            if end - start == 1:
                found.append(Violation(str(misfit), start, label, at_parse=True))
                continue
        except Exception:
            if end - start == 1:
                found.append(Violation(certain_fault(values.iloc[start], wanted), start, label, at_parse=True))
                continue
        else:
            continue
        if end - start > 1:
            middle = (start + end) // 2
            waiting += [(middle, end), (start, middle)]
    if not found and wanted is Scalar.DATETIME:
        return _unlike_the_first(values, cast, label)
    return found or column_faults(values, wanted, label, at_parse=True)


def _unlike_the_first(values: Any, cast: Callable[[Any], Any], label: Name) -> list[Violation]:
    """The first moment that does not go with those before it: pandas reads a column in the form of its first one."""
    good, bad = 0, len(values)  # how many rows can be cast together, and how many cannot
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            cast(values.iloc[:middle])
        except Exception:
            bad = middle
        else:
            good = middle
    cell = values.iloc[bad - 1]
    why = fault(cell, Scalar.DATETIME) or f"{shortened(cell)} is not written like the moments before it"
    return [Violation(why, bad - 1, label, at_parse=True)]
