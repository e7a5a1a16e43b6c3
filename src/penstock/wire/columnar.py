"""Columnar bytes to tables and back: Parquet and Arrow IPC bodies, and the record batches that such files are made of.

pyarrow is an extra, imported when a body or a file of that kind comes along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from penstock.errors import MalformedInput, UnsupportedMedia
from penstock.payload import Array, Table, as_object_array, shortened
from penstock.signature import Casting, Field, Scalar, Schema
from penstock.wire.arrow_claims import check_claims, stream_of
from penstock.wire.budget import Budget
from penstock.wire.columnar_sizes import check_parquet_claims, check_table, widest_row
from penstock.wire.decoded import Decoded
from penstock.wire.soundness import MAX_CELLS, count_cells, find_fault, rows_of_parquet, why_unreadable

if TYPE_CHECKING:
    from pyarrow import Array as ArrowArray
    from pyarrow import ChunkedArray, RecordBatch
    from pyarrow import DataType as ArrowType
    from pyarrow import Schema as ArrowSchema
    from pyarrow import Table as ArrowTable
    from pyarrow.parquet import ParquetFile


_BATCH_ROWS = 65_536


def decoded(table: ArrowTable) -> Decoded:
    """A sound pyarrow.Table as the rows of a request. Its cells have types already, so they are only widened. Raises
    MalformedInput."""
    return Decoded(table_of_batch(without_index(table)), None, Casting.TYPED)


def open_parquet(body: bytes, budget: Budget | None = None) -> ArrowTable:
    """The pyarrow.Table of a Parquet file, sound in every cell. Raises MalformedInput, InputTooLarge."""
    budget = budget or Budget.unlimited()
    _need_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _arrow_errors("Parquet file"), pq.ParquetFile(pa.BufferReader(body)) as file:
        rows = rows_of_parquet(file.metadata)
        if rows < 0:
            raise MalformedInput(
                "The row groups of the Parquet file do not add up to the number of rows in its footer."
            )
        _check_size(rows * max(file.metadata.num_columns, 1))
        check_parquet_claims(file.metadata, replace(budget))
        table = _counted(file.schema_arrow, _batches_of_parquet(file, budget), budget)
    return _sound(table, "Parquet file", budget)


def _batches_of_parquet(file: ParquetFile, budget: Budget) -> Iterator[RecordBatch]:
    for number in range(file.metadata.num_row_groups):
        most = budget.decoded // max(1, widest_row(file.metadata.row_group(number)))
        yield from file.iter_batches(batch_size=max(1, min(_BATCH_ROWS, most)), row_groups=[number], use_threads=False)


def _counted(schema: ArrowSchema, batches: Iterable[RecordBatch], budget: Budget) -> ArrowTable:
    """The pyarrow.Table of batches, each counted before the next is read. Raises InputTooLarge."""
    import pyarrow as pa

    found = []
    for batch in batches:
        budget.spend_bytes(batch.nbytes)
        found.append(batch)
    return pa.Table.from_batches(found, schema)


def open_arrow(body: bytes, budget: Budget | None = None) -> ArrowTable:
    """The pyarrow.Table of an Arrow IPC stream or file, sound in every cell. Raises MalformedInput, InputTooLarge."""
    budget = budget or Budget.unlimited()
    _need_pyarrow()
    from pyarrow import ipc

    with _arrow_errors("Arrow stream"):
        stream = stream_of(body)
        check_claims(body, budget)  # all of it: the sizes of batches that are not proven sound must not be asked
        # A file is read as the stream that it is around: its footer may name one batch any number of times.
        with ipc.open_stream(stream, options=ipc.IpcReadOptions(use_threads=False)) as reader:
            table = reader.read_all()
    return _sound(table, "Arrow stream", budget)


def _sound(table: ArrowTable, what: str, budget: Budget) -> ArrowTable:
    """Raises MalformedInput for a table that must not be touched, InputTooLarge for one that unfolds to too much."""
    if (fault := find_fault(table)) is not None:
        raise MalformedInput(f"The {what} cannot be used: {fault}.")
    _check_size(count_cells(table))
    check_table(table, budget)
    return table


@contextmanager
def _arrow_errors(what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except MemoryError:  # pyarrow's own, too
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MalformedInput(f"The body is not a readable {what}: {why_unreadable(error)}.") from None


def encode_parquet(table: ArrowTable) -> bytes:
    """A pyarrow.Table as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def encode_arrow(table: ArrowTable) -> bytes:
    """A pyarrow.Table as an Arrow IPC stream."""
    import pyarrow as pa
    from pyarrow import ipc

    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        raise UnsupportedMedia(
            "This server cannot read Parquet and Arrow bodies: pyarrow is not installed.",
            hint="Send JSON or CSV, or install penstock[parquet] on the server.",
        ) from None


def _check_size(cells: int) -> None:
    """A few bytes can claim billions of equal cells."""
    if cells > MAX_CELLS:
        raise MalformedInput(f"The body declares {cells:,} cells; the limit for one body is {MAX_CELLS:,}.")


def without_index(table: ArrowTable) -> ArrowTable:
    """pandas writes a frame's index as a column of this name pattern; it is no input of the model."""
    names = table.schema.names
    if len(set(names)) != len(names):
        raise MalformedInput("The body has two columns with the same name.")
    return table.select([n for n in names if not (n.startswith("__index_level_") and n.endswith("__"))])


def table_of_batch(batch: ArrowTable | RecordBatch) -> Table:
    """A table of a pyarrow.RecordBatch or Table. Numbers and moments stay typed; a column with gaps in whole numbers
    or booleans, text and nested values become objects, gaps in floats NaN. Raises MalformedInput."""
    names = [str(name) for name in batch.schema.names]
    return Table.of(names, [_named_column(batch.column(i), name) for i, name in enumerate(names)])


def in_utc(table: ArrowTable, schema: Schema | None) -> ArrowTable:
    """The same with moments of a zone as those of UTC, in the columns that the model takes as datetimes."""
    import pyarrow as pa

    taken = {str(f.name) for f in schema or () if isinstance(f, Field) and f.type is Scalar.DATETIME}
    for position, field in enumerate(table.schema):
        if field.name in taken and pa.types.is_timestamp(field.type) and field.type.tz is not None:
            # Arrow counts since 1970 in UTC, whatever the zone.
            plain = table.column(position).cast(pa.int64()).cast(pa.timestamp(field.type.unit))
            table = table.set_column(position, field.name, plain)
    return table


def _named_column(column: ChunkedArray | ArrowArray, name: str) -> Array:
    try:
        return _column(column)
    except MemoryError:
        raise
    except Exception:  # moments past the year 9999, time zones that nobody knows: their texts quote the cells
        raise MalformedInput(f"Column {shortened(name)} has values that Python cannot represent.") from None


def _column(column: ChunkedArray | ArrowArray) -> Array:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not column.null_count):
        return numbers_of(column)
    if pa.types.is_boolean(kind) and not column.null_count:
        return numbers_of(column.cast(pa.uint8())).view(np.bool_)
    if (pa.types.is_timestamp(kind) and kind.tz is None) or pa.types.is_date(kind):
        return _moments(column)
    return as_object_array(column.to_pylist())


def _moments(column: ArrowArray) -> Array:
    """In nanoseconds. Where those do not reach all of them they stay in the column's own unit, for `conform` to refuse:
    numpy would wrap them without a word."""
    import pyarrow as pa

    unit = "D" if pa.types.is_date32(column.type) else "ms" if pa.types.is_date(column.type) else column.type.unit
    counted = column.cast(pa.int32() if unit == "D" else pa.int64())
    moments = numbers_of(counted.fill_null(0)).astype(f"datetime64[{unit}]")
    if counted.null_count:
        moments[numbers_of(counted.is_null().cast(pa.uint8())).view(np.bool_)] = np.datetime64("NaT")
    found: Array = moments.astype("datetime64[ns]")
    return found if (np.isnat(moments) | (found.astype(moments.dtype) == moments)).all() else moments


def numbers_of(column: ArrowArray) -> Array:
    """A pyarrow.Array of numbers, gaps as NaN, which floats alone can have. No copy where there are none.

    `to_numpy` gives the same; but it imports pandas first, where that is installed, just to ask.
    """
    import pyarrow as pa

    dtype = np.dtype(_DTYPES[str(column.type)])
    if column.null_count:
        column = column.fill_null(pa.scalar(float("nan"), column.type))
    data = column.buffers()[1]
    if data is None or not len(column):
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, len(column), column.offset * dtype.itemsize)


# By Arrow's names.
_DTYPES = {"halffloat": "float16", "float": "float32", "double": "float64"} | {
    name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}


def table_of_text_batch(batch: ArrowTable | RecordBatch, schema: Schema | None) -> Table:
    """A table of a batch whose columns are all text, as CSV is read.

    Columns that the model takes as numbers are parsed whole where every cell allows it; the others stay text, to be
    looked at cell by cell.
    """
    types = {str(f.name): f.type for f in schema or () if isinstance(f, Field)}
    names = [str(name) for name in batch.schema.names]
    return Table.of(names, [_parsed(batch.column(i), types.get(name)) for i, name in enumerate(names)])


def _parsed(column: ChunkedArray | ArrowArray, type_: object) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    real, whole = pa.float64(), pa.int64()
    numbers: dict[object, ArrowType] = {Scalar.DOUBLE: real, Scalar.FLOAT: real, Scalar.LONG: whole}
    target = numbers.get(type_)
    if target is not None:
        try:
            return numbers_of(pc.cast(column, target))
        except pa.ArrowInvalid:
            pass  # some cell is no such number: conform says which
    return as_object_array(column.to_pylist())
