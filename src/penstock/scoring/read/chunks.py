"""Sources to chunks: raw rows in their order, cut at parts, nothing looked at yet.

Text is cut into records and handed on as bytes, so that whoever predicts also parses, in parallel where there are
several; columnar files are decoded here, since their libraries do that with the interpreter released.
"""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import TYPE_CHECKING, Any, BinaryIO

from penstock.errors import ScoringError
from penstock.flavors.interface import need
from penstock.payload import clipped
from penstock.scoring.plan import ScoringOptions, Source
from penstock.scoring.read.inputs import open_bytes
from penstock.scoring.read.record_batches import ArrowBatches, Batches, Choose, ParquetBatches
from penstock.scoring.read.text_records import Gaps, RecordReader
from penstock.wire.csv import header_names
from penstock.wire.csv.records import is_open
from penstock.wire.soundness import find_fault, why_unreadable

if TYPE_CHECKING:
    from pyarrow import RecordBatch


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two rows of the sources: where a part begins. `offset` is its byte in a text file, if known."""

    source: int = 0
    part: int = 0
    row: int = 0
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one part: `data` is the records' bytes or a pyarrow.Table, `header` the names of CSV columns.

    `end` is the byte after the last row, where a run can begin there; `share` is how much of the source is read by now.
    `start` is the byte of the unpacked text with which `data` begins, `gaps` what was left out of it since.
    """

    source: int
    part: int
    row: int
    rows: int
    data: Any
    header: tuple[str, ...] | None = None
    end: int | None = None
    share: float = 1.0
    start: int | None = None
    gaps: Gaps | None = field(default=None, compare=False)


# Which parts of which source are wanted, and what is called at the beginning of each part.
Wanted = Callable[[int, int], bool]
OnPart = Callable[[int, int], None]


def read_sources(
    sources: tuple[Source, ...],
    options: ScoringOptions,
    *,
    wanted: Wanted = lambda source, part: True,
    files: Container[int] | None = None,
    start: Position | None = None,
    before: int = 0,
    columns: Choose | None = None,
    on_part: Callable[[int, int], None] = lambda source, part: None,
) -> Generator[Chunk, None, None]:
    """The chunks of the wanted parts from `start` on; `before` rows were read before it, for the limit. Sources not
    among `files` (numbers; None is all) are not opened.

    `columns` chooses among the names of a columnar file those to be decoded. `on_part` is told of every part there is,
    wanted or not. An empty source has one part, and gives one chunk without rows, so that its file is written.
    Raises ScoringError.
    """
    start = start or Position()
    left = None if options.limit is None else options.limit - before
    for number in range(start.source, len(sources)):
        if files is not None and number not in files:
            continue
        at = start if number == start.source else Position(number)
        bounded = replace(options, limit=left)
        with closing(_read_source(sources[number], number, bounded, wanted, at, columns, on_part)) as chunks:
            for chunk in chunks:
                left = None if left is None else left - chunk.rows
                yield chunk
        if left is not None and left <= 0:
            return


def _read_source(
    source: Source,
    number: int,
    options: ScoringOptions,
    wanted: Wanted,
    start: Position,
    columns: Choose | None,
    on_part: OnPart,
) -> Generator[Chunk, None, None]:
    need("pyarrow", "parquet", purpose="Scoring files")
    import pyarrow as pa

    row = start.row
    try:
        with ExitStack() as opened:
            if source.format.is_text:
                cutter: _Cutter = _TextCutter(source, options, start, opened)
            else:
                cutter = _ColumnCutter(source, options, start, opened, columns)
            for chunk in _parts(cutter, number, options, wanted, start, on_part):
                row = chunk.row + chunk.rows
                yield chunk
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise ScoringError(f"{source.path} cannot be read after row {row}: {_why(error, source)}.") from error


def _why(error: Exception, source: Source) -> str:
    """What pyarrow says of columns quotes cells and what lies beside them; what the place of a file says has a number,
    and is told as it is."""
    foreign = isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError)
    return clipped(str(error)) if source.format.is_text or foreign else why_unreadable(error)


def _parts(
    cutter: _Cutter, source: int, options: ScoringOptions, wanted: Wanted, start: Position, on_part: OnPart
) -> Iterator[Chunk]:
    """The chunks part by part; parts that are not wanted are passed over."""
    part, row, left = start.part, start.row, options.limit
    while left is None or left > 0:
        size = options.part_rows if left is None else min(options.part_rows, left)
        done = 0
        if not wanted(source, part):
            done = cutter.skip(size)
        else:
            while done < size and (chunk := cutter.take(size - done)) is not None:
                yield replace(chunk, source=source, part=part, row=row + done)
                done += chunk.rows
            if not done and part == 0:
                yield replace(cutter.nothing(), source=source)
        if done or part == 0:
            on_part(source, part)
        left = None if left is None else left - done
        if done < options.part_rows:
            return
        row, part = row + done, part + 1


class _Cutter(ABC):
    """Gives the next rows of one source, or passes over them."""

    @abstractmethod
    def take(self, most: int) -> Chunk | None: ...

    @abstractmethod
    def skip(self, rows: int) -> int: ...

    @abstractmethod
    def nothing(self) -> Chunk:
        """A chunk without rows, in the form of the others."""


class _TextCutter(_Cutter):
    def __init__(self, source: Source, options: ScoringOptions, start: Position, opened: ExitStack) -> None:
        self._options = options
        raw = opened.enter_context(open_bytes(source.path))
        self._raw, self._size = raw, source.size or 0
        stream = opened.enter_context(_unpacked(raw, source.format.compression))
        delimiter = source.format.delimiter
        self._records = RecordReader(stream, delimiter=delimiter, name=source.path)
        self._header = None if delimiter is None else _header(self._records, source, delimiter)
        self._plain = source.format.compression is None
        if start.offset is not None and self._plain and source.path != "-":
            raw.seek(start.offset)
            self._records = RecordReader(raw, delimiter=delimiter, start=start.offset, name=source.path)
        elif start.row:
            self.skip(start.row)

    def take(self, most: int) -> Chunk | None:
        records = self._records.take(min(most, self._options.chunk_rows), self._options.chunk_bytes)
        if records is None:
            return None
        end = records.end if self._plain else None
        read = self._raw.tell() if end is None else end
        share = min(1.0, read / self._size) if self._size else 0.0
        return Chunk(
            0, 0, 0, records.rows, records.data, self._header, end, share, start=records.start, gaps=records.gaps
        )

    def skip(self, rows: int) -> int:
        return self._records.skip(rows, self._options.chunk_bytes)

    def nothing(self) -> Chunk:
        return Chunk(0, 0, 0, 0, b"", self._header)


def _header(records: RecordReader, source: Source, delimiter: str) -> tuple[str, ...]:
    """Raises ScoringError."""
    first = records.take(1, 1 << 20)
    if first is None:
        raise ScoringError(f"{source.path} is empty.", hint="The first row names the columns.")
    try:
        text = first.data.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ScoringError(f"The header of {source.path} is not UTF-8 (byte {error.start}).") from None
    if is_open(first.data, delimiter):
        raise ScoringError(f"The header of {source.path} has a quote that is never closed.")
    return tuple(header_names(next(csv.reader(StringIO(text, newline=""), delimiter=delimiter))))


def _unpacked(raw: BinaryIO, compression: str | None) -> Any:
    """pyarrow's streams read packed files that were put together, and refuse truncated ones."""
    import pyarrow as pa

    return raw if compression is None else pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression)


class _ColumnCutter(_Cutter):
    """Record batches put together or cut until they are chunks. A chunk begins where the one before it ended."""

    def __init__(
        self, source: Source, options: ScoringOptions, start: Position, opened: ExitStack, columns: Choose | None
    ) -> None:
        self._options = options
        self._path = source.path
        kind = ParquetBatches if source.format.name == "parquet" else ArrowBatches
        self._batches: Batches = kind(source, options, opened, columns)
        # The whole state: what is decoded and not given out, how many rows were given out or skipped, and how many of
        # these are still to be passed over.
        self._pending: list[RecordBatch] = []
        self._given = self._owed = 0
        self.skip(start.row)

    def take(self, most: int) -> Chunk | None:
        import pyarrow as pa

        self._pass_over(self._owed)
        self._owed = 0
        wanted = min(most, self._options.chunk_rows)
        taken: list[RecordBatch] = []
        rows = size = 0
        while rows < wanted and size < self._options.chunk_bytes and (batch := self._next()) is not None:
            each = max(1, batch.nbytes // max(1, batch.num_rows))
            fitting = max(1, (self._options.chunk_bytes - size) // each)
            piece = self._cut(batch, min(wanted - rows, fitting))
            taken.append(piece)
            rows, size = rows + piece.num_rows, size + max(1, piece.num_rows * each)
        if not rows:
            return None
        self._given += rows
        share = self._given / self._batches.rows if self._batches.rows else 0.0
        return Chunk(0, 0, 0, rows, pa.Table.from_batches(taken, self._batches.schema), share=min(1.0, share))

    def skip(self, rows: int) -> int:
        """Where the number of rows is known they are passed over when the next ones are taken, all at once, so that a
        row group is left out even if a part begins inside."""
        if self._batches.rows is None:
            done = self._pass_over(rows)
        else:
            done = min(rows, self._batches.rows - self._given)
            self._owed += done
        self._given += done
        return done

    def _pass_over(self, rows: int) -> int:
        done = 0
        while done < rows:
            if not self._pending and (passed := self._batches.pass_over(rows - done)):
                done += passed
            elif (batch := self._next()) is not None:
                done += self._cut(batch, rows - done).num_rows
            else:
                break
        return done

    def _next(self) -> RecordBatch | None:
        """Raises ScoringError for a batch that must not be touched."""
        if self._pending:
            return self._pending.pop()
        batch = self._batches.next()
        if batch is not None and (fault := find_fault(batch)) is not None:
            raise ScoringError(f"{self._path} is damaged after row {self._given}: {fault}.")
        return batch

    def _cut(self, batch: RecordBatch, rows: int) -> RecordBatch:
        """Its first rows; the others come next."""
        if batch.num_rows > rows:
            self._pending.append(batch.slice(rows))
        return batch.slice(0, rows)

    def nothing(self) -> Chunk:
        return Chunk(0, 0, 0, 0, self._batches.schema.empty_table())
