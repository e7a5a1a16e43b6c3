"""Arrow streams that are small and become large, or whose shapes nobody expects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from hostile.body import ARROW, ARROW_FILE, HostileBody

_ROWS = 50_000_000
_BATCH_ROWS = 5_000_000
_END = 8  # bytes of the mark at a stream's end
_IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def arrow_bodies() -> Iterator[HostileBody]:
    for name, (make, model) in _BODIES.items():
        yield HostileBody("arrow", name, ARROW, make, model)
    yield HostileBody("arrow", "a file for a stream", ARROW, lambda: stream_of(_numbers(10), file=True))
    yield HostileBody("arrow", "a stream for a file", ARROW_FILE, lambda: stream_of(_numbers(10)))
    yield HostileBody(
        "arrow", "a file of zeros", ARROW_FILE, lambda: stream_of(_numbers(_BATCH_ROWS), "zstd", file=True)
    )
    yield HostileBody("arrow", "a file cut", ARROW_FILE, lambda: stream_of(_numbers(1000), file=True)[:-20])


def stream_of(table: Any, compression: str | None = None, *, file: bool = False) -> bytes:
    sink, options = BytesIO(), ipc.IpcWriteOptions(compression=compression)
    with (ipc.new_file if file else ipc.new_stream)(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def column(array: Any, name: str = "s") -> bytes:
    return stream_of(pa.table({name: array}))


def repeated(table: Any, times: int, compression: str | None = None) -> bytes:
    """A stream whose only batch comes again and again."""
    once, start = stream_of(table, compression), len(_schema_alone(table)) - _END
    return once[:start] + once[start:-_END] * times + once[-_END:]


def _schema_alone(table: Any) -> bytes:
    sink = BytesIO()
    with ipc.new_stream(sink, table.schema):
        pass
    return sink.getvalue()


def _numbers(rows: int) -> Any:
    return pa.table({name: pa.array(np.zeros(rows)) for name in _IRIS})


def _zeros(rows: int, compression: str) -> bytes:
    """Batches of zeros, all alike, that unpack to this many rows of four numbers."""
    return repeated(_numbers(_BATCH_ROWS // 10), rows * 10 // _BATCH_ROWS, compression)


def _same_text(rows: int, size: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array(["x" * size]))


def _run(count: int, value: Any) -> Any:
    return pa.RunEndEncodedArray.from_arrays(pa.array([count], pa.int32()), pa.array([value]))


def _struct_nest(levels: int) -> bytes:
    array = pa.array([1.0, 2.0])
    for _ in range(levels):
        array = pa.StructArray.from_arrays([array], ["a"])
    return column(array)


def _list_nest(levels: int) -> bytes:
    array = pa.array([1.0, 2.0])
    for _ in range(levels):
        array = pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)
    return column(array)


def _list_of(count: int) -> Any:
    return pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.array(np.zeros(count, np.int8)))


def _doubling_lists(levels: int) -> bytes:
    """A dictionary of a long list, its index repeated: the list comes again for each row."""
    lists = pa.DictionaryArray.from_arrays(pa.array(np.zeros(levels, np.int8)), _list_of(20_000))
    return column(lists)


def claimed_arrays(rows: int, size: int, shape: str, compression: str | None = None) -> bytes:
    """Lists of one length that claim to be arrays of a shape."""
    metadata = {b"ARROW:extension:name": b"arrow.fixed_shape_tensor", b"ARROW:extension:metadata": shape.encode()}
    field = pa.field("x", pa.list_(pa.float32(), size), metadata=metadata)
    lists = (
        pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(rows * size, np.float32)), size)
        if size
        else pa.array([[]] * rows, pa.list_(pa.float32(), 0))
    )
    return stream_of(pa.Table.from_arrays([lists], schema=pa.schema([field])), compression)


def _lying_pandas() -> bytes:
    """Metadata of pandas that tells of columns, an index and types that are not there."""
    lie = {
        "index_columns": ["nowhere", {"kind": "range", "name": None, "start": 0, "stop": 10**15, "step": 1}],
        "column_indexes": [{"name": "n", "field_name": "n", "pandas_type": "datetimetz", "numpy_type": "object", "metadata": {"timezone": "Nowhere/City"}}],
        "columns": [{"name": "sepal_length", "field_name": "sepal_length", "pandas_type": "categorical", "numpy_type": "int8", "metadata": {"num_categories": 10**9, "ordered": True}}],
        "pandas_version": "9" * 5000,
    }  # fmt: skip
    return stream_of(_numbers(3).replace_schema_metadata({b"pandas": json.dumps(lie).encode()}))


def _range_index(stop: int) -> bytes:
    lie = {
        "index_columns": [{"kind": "range", "name": None, "start": 0, "stop": stop, "step": 1}],
        "columns": [],
        "column_indexes": [],
    }
    return stream_of(_numbers(3).replace_schema_metadata({b"pandas": json.dumps(lie).encode()}))


_Make = Callable[[], bytes]
_BODIES: dict[str, tuple[_Make, str]] = {
    "50M rows of nulls": (lambda: column(pa.nulls(_ROWS)), "iris"),
    "50M rows of nulls, no signature": (lambda: column(pa.nulls(_ROWS)), "bare"),
    "50M rows of nulls, python": (lambda: column(pa.nulls(_ROWS)), "echo"),
    "2^40 rows of nulls in batches": (lambda: repeated(pa.table({"a": pa.nulls(2**31 - 1)}), 512), "iris"),
    "50M rows of no columns": (lambda: stream_of(pa.table({"a": pa.nulls(_ROWS)}).select([])), "iris"),
    "zstd batches of 50M rows of zeros": (lambda: _zeros(_ROWS, "zstd"), "iris"),
    "lz4 batches of 2M rows of zeros": (lambda: _zeros(2_000_000, "lz4"), "iris"),
    "zstd batches of 50M rows of zeros, python": (lambda: _zeros(_ROWS, "zstd"), "echo"),
    "one zstd batch of 5M rows of zeros": (lambda: stream_of(_numbers(_BATCH_ROWS), "zstd"), "iris"),
    "1 kB of text for 2M rows": (lambda: column(_same_text(2_000_000, 1000), "colour"), "onehot"),
    "1 kB of text for 2M rows, python": (lambda: column(_same_text(2_000_000, 1000)), "echo"),
    "1 kB of text for 2M rows, text model": (lambda: column(_same_text(2_000_000, 1000)), "words"),
    "1 MB of text for 2M rows": (lambda: column(_same_text(2_000_000, 1_000_000), "colour"), "onehot"),
    "run ends of 60M rows": (lambda: column(_run(60_000_000, 1.0), "sepal_length"), "iris"),
    "run ends of 2^31 rows, python": (lambda: column(_run(2**31 - 1, 1.0)), "echo"),
    "run ends of 60M texts": (lambda: column(_run(60_000_000, "x" * 100), "colour"), "onehot"),
    "a list of 4M in one row": (lambda: column(_list_of(4_000_000)), "iris"),
    "a list of 60M zeros in one row, zstd": (lambda: stream_of(pa.table({"s": _list_of(60_000_000)}), "zstd"), "echo"),
    "one list for 100 rows": (lambda: _doubling_lists(100), "echo"),
    "structs in structs, 60 levels": (lambda: _struct_nest(60), "iris"),
    "structs in structs, 60 levels, python": (lambda: _struct_nest(60), "echo"),
    "lists in lists, 60 levels": (lambda: _list_nest(60), "echo"),
    "a union": (
        lambda: column(
            pa.UnionArray.from_dense(
                pa.array([0, 1] * 1000, pa.int8()), pa.array([0, 0] * 1000, pa.int32()), [pa.array([1.0]), pa.array(["a"])]
            )
        ),
        "echo",
    ),
    "20k columns": (lambda: stream_of(pa.table({f"c{i}": pa.array([1.0]) for i in range(20_000)})), "iris"),
    "20k columns, python": (lambda: stream_of(pa.table({f"c{i}": pa.array([1.0]) for i in range(20_000)})), "echo"),
    "100k columns, no rows": (
        lambda: _schema_alone(pa.schema([(f"c{i}", pa.float64()) for i in range(100_000)]).empty_table()),
        "iris",
    ),
    "20k columns of one name": (lambda: stream_of(pa.Table.from_arrays([pa.array([1.0])] * 20_000, ["c"] * 20_000)), "echo"),
    "10k empty batches": (lambda: repeated(_numbers(0), 10_000), "iris"),
    "10k batches of a row": (lambda: repeated(_numbers(1), 10_000), "iris"),
    "10k batches of a row, python": (lambda: repeated(_numbers(1), 10_000), "echo"),
    "a schema and nothing more": (lambda: _schema_alone(_numbers(0)), "iris"),
    "cut in the batch": (lambda: stream_of(_numbers(10_000))[:100_000], "iris"),
    "cut in the schema": (lambda: stream_of(_numbers(10))[:100], "iris"),
    "two streams, one after the other": (lambda: stream_of(_numbers(10)) * 2, "iris"),
    "junk after the stream": (lambda: stream_of(_numbers(10)) + b"junk" * 1_000_000, "iris"),
    "bytes of no stream": (lambda: b"\xff" * 4_000_000, "iris"),
    "nothing": (lambda: b"", "iris"),
    "metadata of pandas that lies": (_lying_pandas, "iris"),
    "metadata of pandas that lies, python": (_lying_pandas, "echo"),
    "an index of 10^9 rows by pandas": (lambda: _range_index(10**9), "echo"),
    "metadata that is no JSON": (lambda: stream_of(_numbers(3).replace_schema_metadata({b"pandas": b"[" * 200_000})), "echo"),
    "metadata of 4 MB": (lambda: stream_of(_numbers(3).replace_schema_metadata({b"x": b"x" * 4_000_000})), "iris"),
    "decimals": (lambda: column(pa.array([10**75] * 60_000, pa.decimal256(76)), "sepal_length"), "iris"),
    "decimals, python": (lambda: column(pa.array([10**75] * 60_000, pa.decimal256(76))), "echo"),
    "dates beyond the calendar": (lambda: column(pa.array(np.full(200_000, 2**31 - 1, np.int32)).cast(pa.date32()), "when"), "typed-plain"),
    "timestamps beyond the calendar": (lambda: column(pa.array(np.full(200_000, 2**62)).cast(pa.timestamp("s")), "when"), "typed-plain"),
    "timestamps of no zone": (lambda: column(pa.array([1] * 1000, pa.timestamp("us", "Nowhere/City")), "when"), "typed-plain"),
    "durations": (lambda: column(pa.array(np.full(200_000, 2**62)).cast(pa.duration("s"))), "echo"),
    "intervals": (lambda: column(pa.array([(1, 2, 3)] * 50_000, pa.month_day_nano_interval())), "echo"),
    "an extension type": (lambda: column(pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "k", "v"), pa.array(["a"] * 1000))), "echo"),
    "arrays of another shape than theirs": (lambda: claimed_arrays(1000, 4, '{"shape": [2, 3]}'), "echo"),
    "arrays of a shape that is none": (lambda: claimed_arrays(1000, 4, '{"shape": [-2, -2]}'), "echo"),
    "arrays in another order of their axes": (lambda: claimed_arrays(1000, 4, '{"shape": [2, 2], "permutation": [1, 0]}'), "echo"),
    "arrays of axes that do not end": (lambda: claimed_arrays(1000, 1, json.dumps({"shape": [1] * 100_000})), "echo"),
    "arrays of nothing, 1M rows": (lambda: claimed_arrays(1_000_000, 0, '{"shape": [0]}'), "echo"),
    "arrays of 60M zeros, zstd": (lambda: claimed_arrays(4, 15_000_000, '{"shape": [15000000]}', "zstd"), "echo"),
    "half-size floats": (lambda: column(pa.array(np.zeros(500_000, np.float16)), "sepal_length"), "iris"),
    "texts for numbers": (lambda: column(pa.array(["x"] * 400_000), "sepal_length"), "iris"),
}  # fmt: skip
