"""Arrays of numbers in Arrow, whole: a column for each, with the rows as first axis. An array of more axes is a column
of Arrow's own type for it, `arrow.fixed_shape_tensor`; one of one axis is a plain column.

Source: Arrow's canonical extension types.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from penstock.errors import MalformedInput
from penstock.payload import Array, Tensors, shortened
from penstock.wire.columnar import numbers_of

if TYPE_CHECKING:
    from pyarrow import Array as ArrowArray
    from pyarrow import ChunkedArray
    from pyarrow import Table as ArrowTable

# Kinds of arrays, by numpy's letters, that columns can hold as they are.
_NUMBERS = "iuf"

# Beside the rows: models take a handful, and numpy no more than 64.
_MOST_AXES = 32


def tensors_of(table: ArrowTable, *, unnamed: bool = False) -> Tensors | None:
    """The arrays of a sound pyarrow.Table, at least one of whose columns is of that type; None for any other table.
    `unnamed` is whether a single one has no name, whatever its column is called. Raises MalformedInput."""
    import pyarrow as pa

    if not any(isinstance(type_, pa.FixedShapeTensorType) for type_ in table.schema.types):
        return None
    return arrays_of(table, unnamed=unnamed)


def arrays_of(table: ArrowTable, *, unnamed: bool) -> Tensors:
    """The same for a table of which it is known. Raises MalformedInput."""
    arrays = [_array(table.column(i), name) for i, name in enumerate(table.schema.names)]
    if unnamed and len(arrays) == 1:
        return Tensors.single(arrays[0])
    if len(set(table.schema.names)) < len(arrays):
        raise MalformedInput("The body has two columns with the same name.")
    return Tensors(tuple(table.schema.names), tuple(arrays))


def _array(column: ChunkedArray, name: str) -> Array:
    import pyarrow as pa

    type_ = column.type
    plain = not isinstance(type_, pa.FixedShapeTensorType)
    numbers = type_ if plain else type_.value_type
    if not (pa.types.is_integer(numbers) or pa.types.is_floating(numbers)):
        raise MalformedInput(f"Column {shortened(name)} stands beside arrays and is none of numbers.")
    if plain:
        shape: tuple[int, ...] = ()
        flat = [_numbers(chunk, name) for chunk in column.chunks]
    else:
        shape, size = tuple(type_.shape), type_.storage_type.list_size
        if len(shape) > _MOST_AXES or prod(shape) != size:
            raise MalformedInput(f"Column {shortened(name)} claims a shape that its arrays do not have.")
        if type_.permutation not in (None, list(range(len(shape)))):
            raise MalformedInput(f"The arrays of column {shortened(name)} have their axes in an order of their own.")
        flat = [_numbers(_values(chunk.storage, size, name), name) for chunk in column.chunks]
    dtype = numbers.to_pandas_dtype()
    array = flat[0] if len(flat) == 1 else np.concatenate(flat) if flat else np.empty(0, dtype)
    return array.reshape((len(column), *shape))


def _values(lists: ArrowArray, size: int, name: str) -> ArrowArray:
    if lists.null_count:
        raise MalformedInput(f"Column {shortened(name)} lacks arrays in some rows.")
    return lists.values.slice(lists.offset * size, len(lists) * size)


def _numbers(values: ArrowArray, name: str) -> Array:
    import pyarrow as pa

    if values.null_count and not pa.types.is_floating(values.type):
        raise MalformedInput(f"Column {shortened(name)} lacks some whole numbers, and arrays have no gaps for these.")
    return numbers_of(values)


def table_of_tensors(tensors: Tensors) -> ArrowTable | None:
    """The pyarrow.Table of arrays of numbers with one first axis, without a copy where they are contiguous; one without
    a name is a column called ''. None where they have no such form."""
    import pyarrow as pa

    whole = all(a.dtype.kind in _NUMBERS and a.dtype.isnative and a.dtype.itemsize <= 8 for a in tensors.arrays)
    if not whole or not tensors.rows or any(0 in a.shape for a in tensors.arrays):
        return None
    columns = []
    for array in tensors.arrays:
        flat = np.ascontiguousarray(array).reshape(-1)
        kind = pa.from_numpy_dtype(flat.dtype)
        values = pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])
        if array.ndim > 1:
            lists = pa.FixedSizeListArray.from_arrays(values, prod(array.shape[1:]))
            values = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(kind, array.shape[1:]), lists)
        columns.append(values)
    return pa.Table.from_arrays(columns, names=list(tensors.names or ("",)))
