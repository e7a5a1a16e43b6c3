"""Columnar bytes to tables and back: Parquet and Arrow IPC bodies, and the record batches that such files are made of.

pyarrow is an extra, imported when a body or a file of that kind comes along.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from penstock.errors import MalformedInput, UnsupportedMedia
from penstock.payload import TEXT, Array, Table, as_object_array, clipped
from penstock.signature import Casting, Field, Scalar, Schema
from penstock.wire.invocations import Decoded

# Rows that one compressed body may unfold to; JSON of the largest body holds fewer.
_MAX_CELLS = 64 * 1024 * 1024


def decode_parquet(body: bytes) -> Decoded:
    """Reads a Parquet file. Its cells have types already, so they are only widened. Raises MalformedInput."""
    with _opened_parquet(body) as file, _arrow_errors("Parquet file"):
        return Decoded(table_of_batch(_without_index(file.read())), None, Casting.TYPED)


def check_parquet(body: bytes) -> None:
    """Raises MalformedInput for a file that is none, or that claims more cells than one request may hold."""
    _opened_parquet(body).close()


def _opened_parquet(body: bytes) -> Any:
    _need_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _arrow_errors("Parquet file"):
        file = pq.ParquetFile(pa.BufferReader(body))
    _check_size(file.metadata.num_rows, file.metadata.num_columns)
    return file


def decode_arrow(body: bytes) -> Decoded:
    """Reads an Arrow IPC stream or file. Raises MalformedInput."""
    return Decoded(table_of_batch(_without_index(open_arrow(body))), None, Casting.TYPED)


def open_arrow(body: bytes) -> Any:
    """The pyarrow.Table of an Arrow IPC stream or file. Raises MalformedInput."""
    _need_pyarrow()
    from pyarrow import ipc

    with _arrow_errors("Arrow stream"):
        opened = ipc.open_file(body) if body.startswith(b"ARROW1") else ipc.open_stream(body)
        with opened as reader:
            return reader.read_all()


@contextmanager
def _arrow_errors(what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise MalformedInput(f"The body is not a readable {what}: {clipped(str(error))}.") from None


def encode_parquet(table: Table) -> bytes:
    """A table as a Parquet file. Raises pyarrow.ArrowException for cells that Arrow has no type for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(batch_of_table(table), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def encode_arrow(table: Table) -> bytes:
    """A table as an Arrow IPC stream. Raises pyarrow.ArrowException for cells that Arrow has no type for."""
    import pyarrow as pa
    from pyarrow import ipc

    batch = batch_of_table(table)
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, batch.schema) as writer:
        writer.write_table(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        raise UnsupportedMedia(
            "Parquet and Arrow bodies are not read here: the server has no pyarrow.",
            hint="Send JSON or CSV, or install penstock[parquet] there.",
        ) from None


def _check_size(rows: int, columns: int) -> None:
    """A few bytes of Parquet can claim billions of equal cells."""
    if rows * max(columns, 1) > _MAX_CELLS:
        raise MalformedInput(f"The file claims {rows:,} rows of {columns} columns, more than one request may hold.")


def _without_index(table: Any) -> Any:
    """pandas writes a frame's index as a column of this name pattern; it is no input of the model."""
    names = [name for name in table.schema.names if not (name.startswith("__index_level_") and name.endswith("__"))]
    return table.select(names)


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
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not column.null_count):
        return numbers_of(column)
    if pa.types.is_boolean(kind) and not column.null_count:
        return numbers_of(column.cast(pa.uint8())).view(np.bool_)
    if (pa.types.is_timestamp(kind) and kind.tz is None) or pa.types.is_date(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False)).astype("datetime64[ns]")
    return as_object_array(column.to_pylist())


def numbers_of(column: Any) -> Array:
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
            return numbers_of(pc.cast(column, target))
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

    if column.dtype.kind == TEXT.kind:
        return pa.array(column.astype(object), pa.string(), from_pandas=True)
    if column.dtype == object or column.dtype.kind in "US":
        return pa.array(column.tolist())
    column = np.ascontiguousarray(column)
    if column.dtype.kind in "iuf" and column.dtype.isnative:
        # What pa.array makes of it as well; but that imports pandas first, where it is installed, just to ask.
        return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [None, pa.py_buffer(column)])
    return pa.array(column)
