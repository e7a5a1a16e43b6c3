"""Payloads against a signature of arrays, in two stages as MLflow has them: cells are cast, then shapes must fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from penstock.payload import Array, Name, Payload, Table, Tensors, Value, Violation, shortened, some
from penstock.signature.casts import Casting, cast_elements
from penstock.signature.misfit import Misfit
from penstock.signature.schema import TensorField, dtype_name

Result: TypeAlias = tuple[Payload, tuple[Violation, ...]]


def conform_tensors(
    payload: Payload, schema: tuple[TensorField, ...], casting: Casting, limit: int | None, *, side_by_side: bool
) -> Result:
    """The arrays that the model takes, and what is wrong with them: `conform` for this kind of schema."""
    if isinstance(payload, Table):
        if side_by_side and len(schema) == 1:
            return _finished(payload, schema, [_conform_side_by_side(payload, schema[0], casting, limit)])
        return _conform_frame(payload, schema, casting, limit)
    arrays = _as_arrays(payload, schema)
    if isinstance(arrays, Violation):
        # In a JSON body of arrays the wrong container counts as unreadable: that is the code MLflow gives it.
        return payload, (replace(arrays, at_parse=casting is Casting.TENSOR),)
    return _finished(
        payload, schema, [_conform_array(a, f, casting, limit) for a, f in zip(arrays, schema, strict=True)]
    )


def _finished(payload: Payload, schema: tuple[TensorField, ...], results: list[Array | list[Violation]]) -> Result:
    violations = [violation for result in results if isinstance(result, list) for violation in result]
    if violations:
        return payload, tuple(violations)
    names = None if schema[0].name is None else tuple(str(f.name) for f in schema)
    return Tensors(names, tuple(result for result in results if not isinstance(result, list))), ()


def _conform_side_by_side(
    table: Table, field: TensorField, casting: Casting, limit: int | None
) -> Array | list[Violation]:
    """The columns of a file as the one array: its only column where that has one axis. A misfit names its column."""
    array = _frame_as_array(table, field.dtype)
    if len(field.shape) == 1 and array.ndim == 2:
        if table.width != 1:
            named = f" ({some(table.names)})" if table.names is not None else ""
            return [Violation(f"the model takes one column, but the input has {table.width}{named}")]
        array = array.reshape(-1)
    cells = array.ndim == 1 or array.shape[1:] == (table.width,)
    return _conform_array(array, field, casting, limit, table.names if cells else None)


def _conform_frame(table: Table, schema: tuple[TensorField, ...], casting: Casting, limit: int | None) -> Result:
    """A frame: its columns by name, or all of them for the one array without a name."""
    unnamed = schema[0].name is None
    if unnamed and table.block is not None and table.width > 1 and table.rows and casting is not Casting.FRAME:
        return _finished(table, schema, [_side_by_side(table.block, schema[0], limit)])
    positions = {str(name): i for i, name in enumerate(table.names or range(table.width))}
    fields = {i: schema[0] for i in range(table.width)} if unnamed else {}
    fields |= {positions[str(f.name)]: f for f in schema if not unnamed and str(f.name) in positions}
    columns: dict[int, Array] = {}
    violations: list[Violation] = []
    for i, field in fields.items():
        result = _cast_column(table.column(i), field, casting, limit, table.names[i] if table.names else i)
        if isinstance(result, list):
            violations += result
        else:
            columns[i] = result
    if violations:
        return table, tuple(violations)
    if unnamed:
        return _finished(table, schema, [_fill(list(columns.values()), schema[0], casting, limit)])
    if missing := [f.name for f in schema if str(f.name) not in positions]:
        return table, (Violation(f"missing arrays: {some(missing)}"),)
    return _finished(table, schema, [_fill([columns[positions[str(f.name)]]], f, casting, limit) for f in schema])


def _cast_column(
    column: Array, field: TensorField, casting: Casting, limit: int | None, label: Name
) -> Array | list[Violation]:
    """Cells of a JSON frame towards the array's dtype; lists are looked at when their shape is known."""
    if casting is not Casting.FRAME:
        return column
    if not len(column):
        return [Violation("the input has no rows", column=label, at_parse=True)]
    if isinstance(column[0], list) or column.dtype == field.dtype:
        return column
    result = _cast_array(column, field, casting, limit)
    return [replace(v, column=label) for v in result] if isinstance(result, list) else result


def _fill(columns: list[Array], field: TensorField, casting: Casting, limit: int | None) -> Array | list[Violation]:
    """The array that columns of a frame make. One column is reshaped row by row, several stand side by side."""
    try:
        if not columns or not len(columns[0]):
            raise Misfit("the input has no rows")
        if len(columns) > 1:
            return _side_by_side(np.stack(columns, axis=1), field, limit)
        return _reshaped(columns[0], field, casting, limit)
    except (Misfit, ValueError) as error:
        return [Violation(str(error), column=field.name)]


def _side_by_side(block: Array, field: TensorField, limit: int | None) -> Array | list[Violation]:
    """Several columns (rows, columns) as the array."""
    if field.shape != (-1, block.shape[1]):
        why = f"the model takes shape {list(field.shape)}, but the input has {block.shape[1]} columns"
        return [Violation(why, column=field.name)]
    return _conform_array(block, field, Casting.TYPED, limit)


def _reshaped(column: Array, field: TensorField, casting: Casting, limit: int | None) -> Array | list[Violation]:
    """Raises Misfit, ValueError."""
    shape = field.shape
    if shape[:1] != (-1,) or -1 in shape[1:]:
        raise Misfit(f"columns of a frame cannot fill the shape {list(shape)}; send arrays")
    first = column[0]
    if np.isscalar(first):
        if shape not in ((-1,), (-1, 1)):
            raise Misfit(f"single values cannot fill the shape {list(shape)}")
        cast = _cast_array(column, field, casting, limit)
        return [replace(v, at_parse=False) for v in cast] if isinstance(cast, list) else cast.reshape(shape)
    if not isinstance(first, list) or not first or not np.isscalar(first[0]):
        raise Misfit(f"{shortened(first)} is neither a value nor a flat list of values")
    array = np.vstack(column.tolist()).reshape(shape)
    if len(array) != len(column):
        raise Misfit(f"each row must have the shape {list(shape[1:])}")
    if casting is Casting.TYPED or array.dtype == field.dtype:
        return array
    cast = _cast_array(array, field, casting, limit)
    return [replace(v, at_parse=False) for v in cast] if isinstance(cast, list) else cast


def _as_arrays(payload: Tensors | Value, schema: tuple[TensorField, ...]) -> list[Array] | Violation:
    """One array per tensor of the schema."""
    names = [f.name for f in schema]
    if isinstance(payload, Value):
        return Violation(f"the model takes arrays, not {shortened(payload.value)}")
    if payload.names is None:
        if len(schema) == 1:
            return list(payload.arrays)
        return Violation(
            f"the model takes {len(schema)} named arrays ({some(names)}), but the input is one array without a name"
        )
    else:
        given = payload.mapping()
        if len(schema) == 1 and names[0] is None:
            return Violation("the model takes one array without a name, but the arrays of the input have names")
    if missing := [n for n in names if n not in given]:
        return Violation(f"missing arrays: {some(missing)}")
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


def _conform_array(
    array: Array, field: TensorField, casting: Casting, limit: int | None, columns: tuple[Name, ...] | None = None
) -> Array | list[Violation]:
    """Cells first, then the shape: what cannot be read at all is said before what does not fit. `columns` are the names
    of a table's that the array is made of."""
    label = field.name
    same = array.dtype == field.dtype or (field.dtype.kind in "USO" and array.dtype.kind == field.dtype.kind)
    if not same and casting is not Casting.TYPED:
        cast = _cast_array(array, field, casting, limit, columns)
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


def _cast_array(
    array: Array, field: TensorField, casting: Casting, limit: int | None, columns: tuple[Name, ...] | None = None
) -> Array | list[Violation]:
    if field.dtype.kind == "O":
        return array.astype(object)
    try:
        result = cast_elements(array.reshape(-1), field.dtype, dtype_name(field.dtype), casting, limit=limit)
    except Misfit as misfit:
        return [Violation(str(misfit), column=field.name, at_parse=True)]
    if not result.misfits:
        return result.column.reshape(array.shape)
    return [_at(position, array.shape, why, field.name, columns) for position, why in result.misfits]


def _at(
    position: int, shape: tuple[int, ...], why: str, label: Name | None, columns: tuple[Name, ...] | None
) -> Violation:
    """Where in an array a misfit is: by row and column of the table that it is made of, or by its indices."""
    where = [int(i) for i in np.unravel_index(position, shape)]
    row = where[0] if where else None
    if columns is not None:
        return Violation(why, row, columns[where[1] if len(where) > 1 else 0], at_parse=True)
    return Violation(f"{why} at {where}" if len(where) > 1 else why, row, label, at_parse=True)
