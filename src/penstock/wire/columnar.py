"""Arrow record batches to tables and back: what Parquet and Arrow files, and bodies of those types, are made of.

pyarrow is an extra and imported by whoever hands its objects in; only the conversion stands here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.payload import Array, Table, as_object_array
from penstock.signature import Field, Scalar, Schema


def table_of_batch(batch: Any) -> Table:
    """A table of a pyarrow.RecordBatch or Table. Numbers and moments stay typed; a column with gaps in whole numbers
    or booleans, text and nested values become objects, gaps in floats NaN."""
    names = [str(name) for name in batch.schema.names]
    return Table.of(names, [_column(batch.column(i)) for i in range(len(names))])


def _column(column: Any) -> Array:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_floating(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if (pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and not column.null_count:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if (pa.types.is_timestamp(kind) and kind.tz is None) or pa.types.is_date(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False)).astype("datetime64[ns]")
    return as_object_array(column.to_pylist())


def table_of_text_batch(batch: Any, schema: Schema | None) -> Table:
    """A table of a batch whose columns are all text, as CSV is read.

    Columns that the model takes as numbers are parsed whole where every cell allows it; the others stay text, to be
    looked at cell by cell.
    """
    types = {str(f.name): f.type for f in schema or () if isinstance(f, Field)}
    names = [str(name) for name in batch.schema.names]
    return Table.of(names, [_parsed(batch.column(i), types.get(name)) for i, name in enumerate(names)])


def _parsed(column: Any, type_: object) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    real, whole = pa.float64(), pa.int64()
    numbers: dict[object, Any] = {Scalar.DOUBLE: real, Scalar.FLOAT: real, Scalar.LONG: whole}
    target = numbers.get(type_)
    if target is not None:
        try:
            return np.asarray(pc.cast(column, target).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:
            pass  # some cell is no such number: conform says which
    return as_object_array(column.to_pylist())


def batch_of_table(table: Table) -> Any:
    """A pyarrow.Table of a table, names as text. Raises pyarrow.ArrowInvalid for cells that Arrow has no type for."""
    import pyarrow as pa

    columns = [_arrow(column) for column in table.iter_columns()]
    return pa.table(columns, names=[str(n) for n in table.names or range(table.width)])


def _arrow(column: Array) -> Any:
    import pyarrow as pa

    if column.dtype == object or column.dtype.kind in "US":
        return pa.array(column.tolist())
    return pa.array(np.ascontiguousarray(column))
