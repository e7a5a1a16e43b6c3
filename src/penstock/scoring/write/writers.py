"""Tables of one shape into one file, by format. The same tables give the same bytes, today and tomorrow."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import orjson

from penstock.scoring.column_texts import csv_column, json_column
from penstock.scoring.file_formats import FileFormat

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow import Schema as ArrowSchema
    from pyarrow import Table as ArrowTable

# Rows are gathered up to this many, or bytes, before a row group is written: readers like them larger than chunks.
_GROUP_ROWS = 262_144
_GROUP_BYTES = 32 << 20


class Writer(ABC):
    """Writes tables that all have the schema it was opened with."""

    @abstractmethod
    def write(self, table: ArrowTable) -> None: ...

    @abstractmethod
    def close(self) -> None: ...


def open_writer(
    target: Path | BinaryIO, format_: FileFormat, schema: ArrowSchema, metadata: Mapping[str, str]
) -> Writer:
    """A writer into a new file, or into an open stream. `metadata` goes into the files that have a place for it."""
    if format_.name == "jsonl":
        return _JsonLines(_sink(target, format_.compression))
    if format_.is_text:
        return _Csv(_sink(target, format_.compression), schema, "\t" if format_.name == "tsv" else ",")
    schema = schema.with_metadata({**(schema.metadata or {}), **metadata})
    if format_.name == "parquet":
        return _Parquet(_sink(target, None), schema)
    return _Arrow(_sink(target, None), schema, stream=not isinstance(target, Path))


def _sink(target: Path | BinaryIO, compression: str | None) -> NativeFile:
    import pyarrow as pa

    opened = pa.OSFile(str(target), "wb") if isinstance(target, Path) else pa.PythonFile(_Unclosed(target), mode="w")
    return pa.CompressedOutputStream(opened, compression) if compression else opened


class _Unclosed:
    """A stream that whoever opened it will close."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()


class _Csv(Writer):
    """A header, then rows; text is quoted where it must be, nested values are JSON, gaps are empty."""

    def __init__(self, sink: NativeFile, schema: ArrowSchema, delimiter: str) -> None:
        self._sink, self._delimiter = sink, delimiter
        header = StringIO(newline="")
        csv.writer(header, lineterminator="\n", delimiter=delimiter).writerow(schema.names)
        sink.write(header.getvalue().encode())

    def write(self, table: ArrowTable) -> None:
        if not table.num_rows:
            return
        import pyarrow as pa
        from pyarrow.csv import WriteOptions, write_csv

        columns = [csv_column(c, field) for c, field in zip(table.columns, table.schema, strict=True)]
        table = pa.table(columns, names=table.schema.names)
        if table.num_columns == 1 and table.column(0).null_count:  # an empty line would be no row
            table = pa.table([table.column(0).cast(pa.string()).fill_null("")], names=table.schema.names)
        # pyarrow quotes every text cell or none: rows without anything to quote are left plain.
        style = "needed" if _needs_quotes(table, self._delimiter) else "none"
        options = WriteOptions(include_header=False, quoting_style=style, delimiter=self._delimiter, batch_size=65_536)
        write_csv(table, self._sink, options)

    def close(self) -> None:
        self._sink.close()


def _needs_quotes(table: ArrowTable, delimiter: str) -> bool:
    import pyarrow as pa

    special = f'["{delimiter}\\r\\n]|^$'
    texts = [c for c in table.columns if pa.types.is_string(c.type) or pa.types.is_large_string(c.type)]
    if not texts:
        return False
    import pyarrow.compute as pc  # here, since importing it takes as long as writing a small file

    return any(pc.any(pc.match_substring_regex(c, special)).as_py() for c in texts)


class _JsonLines(Writer):
    """One object a line; a number that is missing or infinite is null."""

    def __init__(self, sink: NativeFile) -> None:
        self._sink = sink

    def write(self, table: ArrowTable) -> None:
        names = table.schema.names
        columns = [json_column(c, field) for c, field in zip(table.columns, table.schema, strict=True)]
        rows = zip(*columns, strict=True)
        lines = (orjson.dumps(dict(zip(names, row, strict=True))) for row in rows)
        if text := b"\n".join(lines):
            self._sink.write(text + b"\n")

    def close(self) -> None:
        self._sink.close()


class _Gathering(Writer):
    """Puts tables together until they are worth a row group."""

    def __init__(self) -> None:
        # The whole state: tables that are not written yet, and their rows and bytes.
        self._tables: list[ArrowTable] = []
        self._rows = self._bytes = 0

    def write(self, table: ArrowTable) -> None:
        self._tables.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._put(pa.concat_tables(self._tables))
        self._tables, self._rows, self._bytes = [], 0, 0

    def close(self) -> None:
        self._flush()
        self._finish()

    @abstractmethod
    def _put(self, table: ArrowTable) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...


def _with_metadata(table: ArrowTable, schema: ArrowSchema) -> ArrowTable:
    """The table under a schema that differs in metadata alone."""
    import pyarrow as pa

    return pa.Table.from_arrays(table.columns, schema=schema)


class _Parquet(_Gathering):
    def __init__(self, sink: NativeFile, schema: ArrowSchema) -> None:
        import pyarrow.parquet as pq

        super().__init__()
        self._sink, self._schema = sink, schema
        self._writer = pq.ParquetWriter(sink, schema)

    def _put(self, table: ArrowTable) -> None:
        self._writer.write_table(_with_metadata(table, self._schema), row_group_size=max(1, table.num_rows))

    def _finish(self) -> None:
        self._writer.close()
        self._sink.close()


class _Arrow(_Gathering):
    """An IPC file; the stream format where it goes to a stream."""

    def __init__(self, sink: NativeFile, schema: ArrowSchema, *, stream: bool) -> None:
        from pyarrow import ipc

        super().__init__()
        self._sink, self._schema = sink, schema
        self._writer = ipc.new_stream(sink, schema) if stream else ipc.new_file(sink, schema)

    def _put(self, table: ArrowTable) -> None:
        self._writer.write_table(_with_metadata(table, self._schema))

    def _finish(self) -> None:
        self._writer.close()
        self._sink.close()
