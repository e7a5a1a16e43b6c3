"""Parquet files that are small and become large, and whose footers lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from hostile.body import PARQUET, HostileBody

_IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
_MAGIC = b"PAR1"
_TAIL = 8  # the footer's length and the magic

# Counts that occur nowhere else in a file, so that they are found and replaced.
_ROWS = 123_457
_ROWS_OF_GROUP = 61_723


def parquet_bodies() -> Iterator[HostileBody]:
    for kind, bodies in (("parquet", _BODIES), ("parquet-forged", _FORGED)):
        for name, (make, model) in bodies.items():
            yield HostileBody(kind, name, PARQUET, make, model)


def file_of(table: Any, **options: Any) -> bytes:
    sink = BytesIO()
    parquet.write_table(table, sink, **{"compression": "zstd", **options})
    return sink.getvalue()


def _numbers(rows: int) -> Any:
    return pa.table({name: pa.array(np.zeros(rows)) for name in _IRIS})


def _zeros(rows: int, compression: str) -> bytes:
    """Pages of zeros as they are, without the dictionary that would make them small before they are packed."""
    return file_of(_numbers(rows), compression=compression, use_dictionary=False)


def _same_text(rows: int, size: int, name: str) -> bytes:
    """One text in the dictionary and an index a row: the writer reads a dictionary's indices as they are."""
    indices = pa.array(np.zeros(rows, np.int8))
    return file_of(
        pa.table({name: pa.DictionaryArray.from_arrays(indices, pa.array(["x" * size]))}), store_schema=False
    )


def _lists(length: int) -> bytes:
    offsets = pa.array([0, length], pa.int32())
    return file_of(pa.table({"a": pa.ListArray.from_arrays(offsets, pa.array(np.zeros(length, np.int8)))}))


def _nested_lists(levels: int) -> bytes:
    array = pa.array([1.0, 2.0])
    for _ in range(levels):
        array = pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)
    return file_of(pa.table({"a": array}))


def _pandas(index_columns: list[Any]) -> bytes:
    lie = {"index_columns": index_columns, "columns": [{"name": "a", "field_name": "a", "pandas_type": "categorical", "numpy_type": "int8", "metadata": {"num_categories": 10**9}}], "column_indexes": []}  # fmt: skip
    return file_of(_numbers(3).replace_schema_metadata({b"pandas": json.dumps(lie).encode()}))


def _many_columns(count: int, rows: int) -> bytes:
    return file_of(pa.table({f"c{i}": pa.array(np.zeros(rows)) for i in range(count)}), write_statistics=False)


_BODIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "1 kB of text for 2M rows": (lambda: _same_text(2_000_000, 1000, "colour"), "onehot"),
    "1 kB of text for 2M rows, python": (lambda: _same_text(2_000_000, 1000, "s"), "echo"),
    "1 kB of text for 2M rows, numbers wanted": (lambda: _same_text(2_000_000, 1000, "sepal_length"), "iris"),
    "100 kB of text for 2M rows": (lambda: _same_text(2_000_000, 100_000, "colour"), "onehot"),
    **{
        f"pages of zeros, {compression}": (partial(_zeros, 5_000_000, compression), "iris")
        for compression in ("snappy", "zstd", "gzip", "brotli", "lz4")
    },
    "20M rows of zeros by dictionary": (lambda: file_of(pa.table({"sepal_length": np.zeros(20_000_000)})), "iris"),
    "20M rows of zeros by dictionary, python": (lambda: file_of(pa.table({"a": np.zeros(20_000_000)})), "echo"),
    "20M rows of nulls": (lambda: file_of(pa.table({"a": pa.nulls(20_000_000, pa.int32())})), "iris"),
    "20M rows of no type": (lambda: file_of(pa.table({"a": pa.nulls(20_000_000)})), "iris"),
    "a list of 20M in one row": (lambda: _lists(20_000_000), "iris"),
    "a list of 20M in one row, python": (lambda: _lists(20_000_000), "echo"),
    "lists in lists, 50 levels": (lambda: _nested_lists(50), "echo"),
    "lists in lists, 300 levels": (lambda: _nested_lists(300), "iris"),
    "5,000 columns": (lambda: _many_columns(5000, 1), "iris"),
    "5,000 columns, python": (lambda: _many_columns(5000, 1), "echo"),
    "20,000 columns, no rows": (lambda: _many_columns(20_000, 0), "iris"),
    "2,000 columns of 2,000 rows": (lambda: _many_columns(2000, 2000), "echo"),
    "5,000 row groups": (lambda: file_of(_numbers(5000), row_group_size=1, write_statistics=False), "iris"),
    "5,000 row groups, python": (lambda: file_of(_numbers(5000), row_group_size=1, write_statistics=False), "echo"),
    "metadata of 4 MB": (lambda: file_of(_numbers(3).replace_schema_metadata({b"x": b"x" * 4_000_000})), "iris"),
    "100k entries of metadata": (lambda: file_of(_numbers(3).replace_schema_metadata({f"k{i}": "v" for i in range(100_000)})), "iris"),
    "metadata of pandas that lies": (lambda: _pandas(["nowhere"]), "echo"),
    "an index of 10^9 rows by pandas": (lambda: _pandas([{"kind": "range", "name": None, "start": 0, "stop": 10**9, "step": 1}]), "echo"),
    "a schema of Arrow that lies": (
        lambda: file_of(_numbers(3).replace_schema_metadata({b"ARROW:schema": b"/////" + b"A" * 10_000}), store_schema=False),
        "iris",
    ),
    "deltas of texts": (
        lambda: file_of(pa.table({"s": ["x" * 5000] * 20_000}), use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"),
        "echo",
    ),
    "decimals": (lambda: file_of(pa.table({"sepal_length": pa.array([10**37] * 50_000, pa.decimal128(38))})), "iris"),
}  # fmt: skip


def _zigzag(number: int) -> bytes:
    """An integer as Thrift's compact protocol writes it."""
    left, out = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def _parts(body: bytes) -> tuple[bytes, bytes]:
    """What is before the footer, and the footer."""
    size = int.from_bytes(body[-_TAIL:-4], "little")
    return body[: -size - _TAIL], body[-size - _TAIL : -_TAIL]


def _with_footer(pages: bytes, footer: bytes) -> bytes:
    return pages + footer + len(footer).to_bytes(4, "little") + _MAGIC


def _forged_count(body: bytes, old: int, new: int) -> bytes:
    """The file with a count in its footer replaced. Raises ValueError where the footer has none such."""
    pages, footer = _parts(body)
    if _zigzag(old) not in footer:
        raise ValueError(f"{old} is not in the footer.")
    return _with_footer(pages, footer.replace(_zigzag(old), _zigzag(new)))


def _rows_of(table: Any, lie: int) -> bytes:
    return _forged_count(file_of(table, use_dictionary=False), _ROWS, lie)


def _group_of(lie: int) -> bytes:
    return _forged_count(file_of(_numbers(_ROWS), row_group_size=_ROWS_OF_GROUP), _ROWS_OF_GROUP, lie)


def _page(old: int, lie: int) -> bytes:
    """A size in the headers of pages replaced by one as long when written."""
    body = file_of(
        pa.table({"sepal_length": np.arange(_ROWS % 5000 + 1000.0)}), use_dictionary=False, compression="snappy"
    )
    return body.replace(_zigzag(old), _zigzag(lie), 1)


def _element(name: bytes, children: int | None, *, root: bool = False) -> bytes:
    """A schema's element in Thrift's compact protocol: an optional group, or an optional double."""
    if children is None:
        return b"\x15\x0a\x25\x02\x18" + _text(name) + b"\x00"
    return (b"\x48" if root else b"\x35\x02\x18") + _text(name) + b"\x15" + _zigzag(children) + b"\x00"


def _text(name: bytes) -> bytes:
    return _count(len(name)) + name


def _count(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _footer(elements: bytes, count: int, rows: int = 0, groups: bytes = b"\x19\x0c") -> bytes:
    """A file that is a footer alone: version, schema, rows, row groups."""
    return _with_footer(
        _MAGIC, b"\x15\x02\x19\xfc" + _count(count) + elements + b"\x16" + _zigzag(rows) + groups + b"\x00"
    )


def _deep_schema(levels: int) -> bytes:
    elements = _element(b"r", 1, root=True) + _element(b"a", 1) * levels + _element(b"a", None)
    return _footer(elements, levels + 2)


def _wide_schema(columns: int) -> bytes:
    return _footer(_element(b"r", columns, root=True) + _element(b"a", None) * columns, columns + 1)


_SOUND = _element(b"r", 1, root=True) + _element(b"a", None)

_FORGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "2^40 rows": (lambda: _rows_of(_numbers(_ROWS), 2**40), "iris"),
    "2^62 rows, python": (lambda: _rows_of(_numbers(_ROWS), 2**62), "echo"),
    "rows below zero": (lambda: _rows_of(_numbers(_ROWS), -1), "iris"),
    "fewer rows than there are": (lambda: _rows_of(_numbers(_ROWS), 1), "iris"),
    "2^31 texts": (lambda: _rows_of(pa.table({"s": ["a"] * _ROWS}), 2**31), "echo"),
    "a row group of 2^40 rows": (lambda: _group_of(2**40), "iris"),
    "a row group of rows below zero": (lambda: _group_of(-5), "iris"),
    "a page of another size": (lambda: _page((_ROWS % 5000 + 1000) * 8, 2**20 - 9), "iris"),
    "a page of more values": (lambda: _page(_ROWS % 5000 + 1000, 8000), "iris"),
    "a schema of 2^31 elements": (lambda: _footer(_SOUND, 2**31 - 1), "iris"),
    "a schema of 10^8 elements": (lambda: _footer(_SOUND, 10**8), "iris"),
    "a schema with 10^9 children": (lambda: _footer(_element(b"r", 10**9, root=True), 1), "iris"),
    "a schema with children below zero": (lambda: _footer(_element(b"r", -1, root=True), 1), "iris"),
    "2^31 row groups": (lambda: _footer(_SOUND, 2, 5, b"\x19\xfc" + _count(2**31 - 1)), "iris"),
    "500k empty row groups": (lambda: _footer(_SOUND, 2, 5, b"\x19\xfc" + _count(500_000) + b"\x00" * 500_000), "iris"),
    "10^15 rows, no row groups": (lambda: _footer(_SOUND, 2, 10**15), "iris"),
    "10^15 rows, no row groups, python": (lambda: _footer(_SOUND, 2, 10**15), "echo"),
    "no columns, 50M rows": (lambda: _footer(_element(b"r", 0, root=True), 1, 50_000_000), "iris"),
    "no columns, 50M rows, python": (lambda: _footer(_element(b"r", 0, root=True), 1, 50_000_000), "echo"),
    "groups in groups, 10k levels": (lambda: _deep_schema(10_000), "iris"),
    "groups in groups, 300k levels": (lambda: _deep_schema(300_000), "iris"),
    "300k columns of one name, no rows": (lambda: _wide_schema(300_000), "iris"),
    "300k columns of one name, no rows, python": (lambda: _wide_schema(300_000), "echo"),
    "structs nested in the footer": (lambda: _with_footer(_MAGIC, b"\x1c" * 1_000_000), "iris"),
    "lists nested in the footer": (lambda: _with_footer(_MAGIC, b"\xf9\xff\x0f" + b"\x19" * 1_000_000), "iris"),
    "a footer that is longer than the file": (lambda: _MAGIC + bytes(100) + (2**31 - 1).to_bytes(4, "little") + _MAGIC, "iris"),
    "a footer of zeros": (lambda: _with_footer(_MAGIC, bytes(4_000_000)), "iris"),
    "an encrypted footer": (lambda: file_of(_numbers(10))[:-4] + b"PARE", "iris"),
    "encrypted from the start": (lambda: b"PARE" + file_of(_numbers(10))[4:-4] + b"PARE", "iris"),
    "cut": (lambda: file_of(_numbers(10_000))[:-100], "iris"),
    "cut, with an end": (lambda: file_of(_numbers(10_000))[:200] + file_of(_numbers(10_000))[-_TAIL:], "iris"),
    "pages overwritten": (lambda: _MAGIC + b"\xff" * len(_parts(file_of(_numbers(1000)))[0][4:]) + file_of(_numbers(1000))[len(_parts(file_of(_numbers(1000)))[0]) :], "iris"),
    "the magic twice and nothing between": (lambda: _MAGIC * 2, "iris"),
    "nothing": (lambda: b"", "iris"),
}  # fmt: skip
