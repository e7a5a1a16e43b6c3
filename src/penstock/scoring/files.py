"""Files of rows, read and written in bounded pieces: CSV and Parquet."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import orjson

from penstock.errors import ScoringError
from penstock.flavors.interface import need
from penstock.payload import Array, Table, as_object_array
from penstock.signature import Casting, Schema
from penstock.wire.columnar import batch_of_table, table_of_batch, table_of_text_batch

_CSV_BLOCK_BYTES = 1 << 20


# A record batch, its table, how to read the cells, how much of the file is read.
_Piece: TypeAlias = tuple[Any, Table, Casting, float]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file: the table, how to read its cells, the columns that are only carried through, as they stand
    in the file, the number of the first row, and how much of the file is read by now (0 to 1)."""

    table: Table
    casting: Casting
    carried: dict[str, Array]
    first_row: int
    progress: float


class RowWriter(Protocol):
    """Writes tables one after the other into one file."""

    def write(self, table: Table) -> None: ...

    def close(self) -> None: ...


def file_format(path: Path) -> str:
    """csv or parquet, by the file's ending. Raises ScoringError."""
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise ScoringError(f"{path.name} has no ending that tells its format.", hint="Use .csv or .parquet.")
    return kind


def read_chunks(path: Path, schema: Schema | None, max_rows: int, keep: Sequence[str] = ()) -> Iterator[Chunk]:
    """The file's rows, at most `max_rows` at a time; `keep` names the columns to carry, ("*",) is all.

    Raises ScoringError.
    """
    read = _READERS[file_format(path)]
    need("pyarrow", "parquet", purpose="Scoring files")
    import pyarrow as pa

    if not path.is_file():
        raise ScoringError(f"There is no file {path}.")
    first_row = 0
    try:
        for batch, table, casting, progress in read(path, schema, max_rows):
            carried = _carried(batch, keep)
            for start in range(0, table.rows, max_rows):
                rows = slice(start, start + max_rows)
                part = {name: column[rows] for name, column in carried.items()}
                yield Chunk(table.take(rows), casting, part, first_row + start, progress)
            first_row += table.rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise ScoringError(f"{path.name} cannot be read after row {first_row}: {_one_line(error)}.") from error


def _carried(batch: Any, keep: Sequence[str]) -> dict[str, Array]:
    """The columns to carry through, untouched: text from CSV stays the text it was. Raises ScoringError."""
    if not keep:
        return {}
    names = [str(name) for name in batch.schema.names]
    wanted = names if list(keep) == ["*"] else list(keep)
    if missing := [name for name in wanted if name not in names]:
        raise ScoringError(f"There is no column {', '.join(map(repr, missing))} to keep.")
    table = table_of_batch(batch.select(wanted))
    return dict(zip(wanted, table.iter_columns(), strict=True))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")


def _read_csv(path: Path, schema: Schema | None, max_rows: int) -> Iterator[_Piece]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    size = path.stat().st_size
    if not size:
        raise ScoringError(f"{path.name} is empty.", hint="The first row names the columns.")
    with path.open("rb") as file:
        header = arrow_csv.open_csv(file).schema.names  # the first block alone
        file.seek(0)
        reader = arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
        for batch in reader:
            yield batch, table_of_text_batch(batch, schema), Casting.TEXT, min(1.0, file.tell() / size)


def _read_parquet(path: Path, schema: Schema | None, max_rows: int) -> Iterator[_Piece]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        total, done = max(1, file.metadata.num_rows), 0
        for batch in file.iter_batches(batch_size=max_rows):
            done += batch.num_rows
            # Typed cells, but read as leniently as JSON's: whole numbers for a double are what files hold.
            yield batch, table_of_batch(batch), Casting.FRAME, done / total


_READERS: dict[str, Any] = {".csv": _read_csv, ".parquet": _read_parquet}


def open_writer(path: Path, target_format: str) -> RowWriter:
    """A writer into a new file at `path` in this format (a file ending)."""
    return CsvWriter(path) if target_format == ".csv" else ParquetWriter(path)


class _ArrowWriter(ABC):
    """Writes Arrow tables of one schema, which the first one decides. Raises ScoringError for cells that do not fit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # The whole state: pyarrow's writer and its schema, from the first table on.
        self._writer: Any = None
        self._schema: Any = None

    def write(self, table: Table) -> None:
        import pyarrow as pa

        try:
            batch = batch_of_table(self._prepared(table))
            if self._writer is None:
                self._schema = pa.schema([_settled(field) for field in batch.schema])
                self._writer = self._open()
            self._put(batch.cast(self._schema))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise ScoringError(f"The predictions cannot be written as columns: {_one_line(error)}.") from error

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _prepared(self, table: Table) -> Table:
        return table

    @abstractmethod
    def _open(self) -> Any: ...

    @abstractmethod
    def _put(self, batch: Any) -> None: ...


def _settled(field: Any) -> Any:
    """A column without any value so far is text, in case one comes."""
    import pyarrow as pa

    return pa.field(field.name, pa.string()) if pa.types.is_null(field.type) else field


class CsvWriter(_ArrowWriter):
    """CSV with a header; text is quoted where it must be, nested values are written as JSON, gaps are empty."""

    def _prepared(self, table: Table) -> Table:
        return _flat(table)

    def _open(self) -> Any:
        opened = self._path.open("wb")
        header = StringIO(newline="")
        csv.writer(header, lineterminator="\n").writerow(self._schema.names)
        opened.write(header.getvalue().encode())
        return opened

    def _put(self, batch: Any) -> None:
        from pyarrow.csv import WriteOptions, write_csv

        # pyarrow quotes every text cell or none: a piece without anything to quote is left plain.
        style = "needed" if _needs_quotes(batch) else "none"
        write_csv(batch, self._writer, WriteOptions(include_header=False, quoting_style=style))


def _needs_quotes(batch: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    special = '[",\\r\\n]|^$'
    texts = [c for c in batch.columns if pa.types.is_string(c.type) or pa.types.is_large_string(c.type)]
    return any(pc.any(pc.match_substring_regex(c, special)).as_py() for c in texts)


class ParquetWriter(_ArrowWriter):
    """Parquet, one row group for each table."""

    def _open(self) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(str(self._path), self._schema)

    def _put(self, batch: Any) -> None:
        self._writer.write_table(batch)


def _flat(table: Table) -> Table:
    """Nested cells as JSON text, for formats that have no nesting."""
    return Table.of(table.names, [_flat_column(column) for column in table.iter_columns()])


def _flat_column(column: Array) -> Array:
    if column.dtype != object or not any(isinstance(cell, (list, dict, tuple)) for cell in column):
        return column
    return as_object_array([None if cell is None else orjson.dumps(cell).decode() for cell in column])
