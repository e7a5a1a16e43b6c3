"""Whether a payload fits a schema, and the payload as the model should get it.

One function serves both sides: the gateway turns violations into a 400, scoring turns them into rejected rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penstock.payload import (
    Array,
    Name,
    Payload,
    Table,
    Tensors,
    Value,
    Violation,
    as_object_array,
    shortened,
)
from penstock.signature.casts import Casting, cast, cast_elements
from penstock.signature.cells import Misfit
from penstock.signature.schema import Field, Schema, TensorField, dtype_name, is_tensor_schema, names_of
from penstock.signature.types import Scalar

__all__ = ["Casting", "Conformed", "conform"]


@dataclass(frozen=True, slots=True)
class Conformed:
    """`payload` in the schema's order and types; not to be used where there are violations."""

    payload: Payload
    violations: tuple[Violation, ...] = ()


def conform(payload: Payload, schema: Schema | None, casting: Casting, *, limit: int | None = None) -> Conformed:
    """`payload` as `schema` asks for it, or what is wrong with it, `limit` violations per column at most.

    Columns are put in order, extra ones dropped, cells cast as `casting` allows. Without a schema everything fits.
    """
    if not schema:
        return Conformed(payload)
    if is_tensor_schema(schema):
        return _conform_tensors(payload, schema, casting, limit)
    fields: tuple[Field, ...] = schema  # type: ignore[assignment]
    if isinstance(payload, Table) and _fits_already(payload, fields):
        return Conformed(payload)
    table = _as_table(payload, fields)
    if isinstance(table, Violation):
        return Conformed(payload, (table,))
    return _conform_columns(table, fields, casting, limit)


def _fits_already(table: Table, fields: tuple[Field, ...]) -> bool:
    """The hot path: one block of the right dtype with the right names in the right order."""
    if table.block is None or table.names != names_of(fields) or table.width != len(fields):
        return False
    dtype = table.block.dtype
    return dtype.kind != "O" and all(isinstance(f.type, Scalar) and f.type.dtype == dtype for f in fields)


def _as_table(payload: Payload, fields: tuple[Field, ...]) -> Table | Violation:
    """What may be sent for columns besides a frame: a dict of lists, a list for one column, rows for unnamed ones."""
    if isinstance(payload, Table):
        return payload
    if isinstance(payload, Tensors):
        if payload.names is not None:
            if payload.rows is None:
                lengths = ", ".join(
                    f"{n}: {a.shape[0] if a.ndim else 'a scalar'}" for n, a in payload.mapping().items()
                )
                return Violation(f"the columns have different lengths ({lengths})")
            return Table.of(payload.names, [_one_dimensional(a) for a in payload.arrays])
        array = payload.arrays[0]
        names = names_of(fields)
        if array.ndim > 1 and len(fields) == 1 and not isinstance(fields[0].type, Scalar):
            array = as_object_array(array.tolist())  # one list a row
        if array.ndim == 1 and len(fields) == 1:
            return Table(names, block=array.reshape(-1, 1))
        if array.ndim == 2 and (names is None or len(fields) == 1 == array.shape[1]):
            return Table(names, block=array)
        if array.ndim == 2 and all(isinstance(f.name, int) for f in fields):
            return Table(tuple(range(array.shape[1])), block=array)
        if names is not None:
            return Violation(f"the model takes named columns ({_some(names)}), but the input has no names")
        return Violation(f"the model takes {len(fields)} columns, but the input has shape {list(array.shape)}")
    if isinstance(payload.value, list) and len(fields) == 1:
        return Table(names_of(fields), block=as_object_array(payload.value).reshape(-1, 1))
    return Violation(f"the model takes columns, not {shortened(payload.value)}")


def _one_dimensional(array: Array) -> Array:
    return array if array.ndim == 1 else as_object_array(array.tolist())


def _conform_columns(table: Table, fields: tuple[Field, ...], casting: Casting, limit: int | None) -> Conformed:
    positions = _positions(table, fields)
    if isinstance(positions, Violation):
        return Conformed(table, (positions,))
    names: list[Name] = []
    columns: list[Array] = []
    violations: list[Violation] = []
    for number, (field, position) in enumerate(zip(fields, positions, strict=True)):
        if position is None:
            continue
        result = (
            cast(table.column(position), field.type, casting, optional=not field.required, limit=limit)
            if not _all_null(table, position, field)
            else None
        )
        label = field.name if field.name is not None else number
        if result is not None:
            at_parse = casting is not Casting.TYPED
            violations += [Violation(why, row, label, at_parse=at_parse) for row, why in result.misfits]
        columns.append(table.column(position) if result is None else result.column)
        names.append(label)
    if violations:
        return Conformed(table, tuple(sorted(violations, key=lambda v: v.row or 0)))
    return Conformed(Table.of(None if names_of(fields) is None else names, columns, table.index))


def _all_null(table: Table, position: int, field: Field) -> bool:
    """An optional column of nulls alone goes to the model as it came."""
    column = table.column(position)
    return not field.required and column.dtype == object and all(cell is None for cell in column)


def _positions(table: Table, fields: tuple[Field, ...]) -> list[int | None] | Violation:
    """For each field the position of its column, None for an optional one that is absent."""
    if names_of(fields) is None:
        if table.width < len(fields):
            return Violation(f"the model takes {len(fields)} columns, but the input has {table.width}")
        return list(range(len(fields)))
    names: tuple[Name, ...] | None = table.names
    if names is None and all(isinstance(f.name, int) for f in fields):
        names = tuple(range(table.width))  # as pandas numbers the columns of a frame without names
    if names is None:
        return Violation(f"the model takes named columns ({_some(names_of(fields))}), but the input has no names")
    found = {name: i for i, name in enumerate(names)}
    if len(found) < len(names) and (twice := [f.name for f in fields if names.count(f.name) > 1]):
        return Violation(f"columns that occur more than once: {_some(twice)}")
    positions = [found.get(f.name) for f in fields]  # type: ignore[arg-type]
    missing = [f.name for f, position in zip(fields, positions, strict=True) if position is None and f.required]
    if missing:
        known = {f.name for f in fields}
        extra = [n for n in names if n not in known]
        note = f"; there are columns that the model does not know: {_some(extra)}" if extra else ""
        return Violation(f"missing columns: {_some(missing)}{note}")
    return positions


def _some(names: Any, shown: int = 8) -> str:
    """Names for a message, not all of a thousand."""
    listed = [shortened(n) for n in list(names)[:shown]]
    return ", ".join(listed) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _conform_tensors(
    payload: Payload, schema: tuple[TensorField, ...], casting: Casting, limit: int | None
) -> Conformed:
    arrays = _as_arrays(payload, schema)
    if isinstance(arrays, Violation):
        # In a JSON body of arrays the wrong container counts as unreadable: that is the code MLflow gives it.
        return Conformed(payload, (replace(arrays, at_parse=casting is Casting.TENSOR),))
    conformed: list[Array] = []
    violations: list[Violation] = []
    for array, field in zip(arrays, schema, strict=True):
        result = _conform_array(array, field, casting, limit)
        if isinstance(result, list):
            violations += result
        else:
            conformed.append(result)
    if violations:
        return Conformed(payload, tuple(violations))
    names = None if schema[0].name is None else tuple(str(f.name) for f in schema)
    return Conformed(Tensors(names, tuple(conformed)))


def _as_arrays(payload: Payload, schema: tuple[TensorField, ...]) -> list[Array] | Violation:
    """One array per tensor of the schema: from tensors, or from a frame's columns."""
    names = [f.name for f in schema]
    if isinstance(payload, Value):
        return Violation(f"the model takes arrays, not {shortened(payload.value)}")
    if isinstance(payload, Table):
        if len(schema) == 1:
            return [_frame_as_array(payload, schema[0].dtype)]
        given = {str(n): payload.column(i) for i, n in enumerate(payload.names or ())}
    elif payload.names is None:
        if len(schema) == 1:
            return list(payload.arrays)
        return Violation(
            f"the model takes {len(schema)} named arrays ({_some(names)}), but the input is one without a name"
        )
    else:
        given = payload.mapping()
        if len(schema) == 1 and names[0] is None:
            return Violation("the model takes one array without a name, but the input has names")
    if missing := [n for n in names if n not in given]:
        return Violation(f"missing arrays: {_some(missing)}")
    return [given[str(n)] for n in names]


def _frame_as_array(table: Table, dtype: np.dtype[Any]) -> Array:
    """A frame for one array: its single column of lists, or all columns side by side."""
    if table.width == 1 and (column := table.column(0)).dtype == object and len(column) and isinstance(column[0], list):
        try:
            array = np.array(column.tolist())
        except ValueError:
            return column  # ragged: the shape check says so
        return np.array(column.tolist(), dtype=object) if array.dtype.kind in "US" else array
    if table.block is not None or not table.width:
        return np.empty((table.rows, 0)) if table.block is None else table.block
    columns = list(table.iter_columns())
    if not (dtype.kind == "f" and all(c.dtype.kind in "biuf" for c in columns)):
        columns = [c.astype(object) for c in columns]  # numpy's common dtype would lose digits, or make text of numbers
    return np.stack(columns, axis=1)


def _conform_array(array: Array, field: TensorField, casting: Casting, limit: int | None) -> Array | list[Violation]:
    """Cells first, then the shape: what cannot be read at all is said before what does not fit."""
    label = field.name
    same = array.dtype == field.dtype or (field.dtype.kind in "USO" and array.dtype.kind == field.dtype.kind)
    if not same and casting is not Casting.TYPED:
        cast = _cast_array(array, field, casting, limit)
        if isinstance(cast, list):
            return cast
        array = cast
    if array.ndim != len(field.shape) or any(
        want not in (-1, got) for want, got in zip(field.shape, array.shape, strict=True)
    ):
        why = f"the model takes shape {list(field.shape)}, but the input has {list(array.shape)}"
        return [Violation(why, column=label)]
    if not same and casting is Casting.TYPED:
        why = f"the model takes {dtype_name(field.dtype)}, but the input is {dtype_name(array.dtype)}"
        return [Violation(why, column=label)]
    return array


def _cast_array(array: Array, field: TensorField, casting: Casting, limit: int | None) -> Array | list[Violation]:
    if field.dtype.kind == "O":
        return array.astype(object)
    try:
        result = cast_elements(array.reshape(-1), field.dtype, dtype_name(field.dtype), casting, limit=limit)
    except Misfit as misfit:
        return [Violation(str(misfit), column=field.name, at_parse=True)]
    if not result.misfits:
        return result.column.reshape(array.shape)
    return [_at(position, array.shape, why, field.name) for position, why in result.misfits]


def _at(position: int, shape: tuple[int, ...], why: str, label: Name | None) -> Violation:
    where = [int(i) for i in np.unravel_index(position, shape)]
    return Violation(f"{why} at {where}", where[0] if where else None, label, at_parse=True)
