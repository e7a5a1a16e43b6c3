"""The record batches of Parquet and Arrow files, in order: read piece by piece, never a whole file at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from penstock.errors import ScoringError
from penstock.scoring.plan import ScoringOptions, Source
from penstock.scoring.read.inputs import open_bytes
from penstock.storage.files import LocalFileStore, is_url
from penstock.wire.soundness import rows_of_parquet

if TYPE_CHECKING:
    from pyarrow import NativeFile, RecordBatch
    from pyarrow import Schema as ArrowSchema

# Given the names of a file's columns: those to read.
Choose: TypeAlias = Callable[[list[str]], list[str]]


class Batches(ABC):
    """The record batches of a columnar source, in order."""

    schema: ArrowSchema
    # How many there are, None where that is not known before they are read.
    rows: int | None = None

    @abstractmethod
    def next(self) -> RecordBatch | None:
        """The next batch, None at the end."""

    def pass_over(self, rows: int) -> int:
        """Leaves out up to so many of the next rows without decoding them, where it can; how many they were."""
        return 0


class ParquetBatches(Batches):
    """Row group by row group, pages streamed: a dataset scanner would hold whole row groups, several of them."""

    def __init__(self, source: Source, options: ScoringOptions, opened: ExitStack, columns: Choose | None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = 1 << 20 if _is_local(source.path) else 8 << 20
        raw = opened.enter_context(_arrow_file(source.path))
        self._file = opened.enter_context(closing(pq.ParquetFile(raw, pre_buffer=False, buffer_size=buffer)))
        self._options = options
        self._names = _chosen(source, self._file.schema_arrow.names, columns)
        self.schema = pa.schema([self._file.schema_arrow.field(name) for name in self._names])
        self.rows = rows_of_parquet(self._file.metadata)
        if self.rows < 0:
            raise ScoringError(f"{source.path} is damaged: the row counts of its row groups do not match its metadata.")
        # The whole state: the next row group, and what is left of the one that is being read.
        self._group = 0
        self._left: Iterator[RecordBatch] = iter(())

    def next(self) -> RecordBatch | None:
        while (batch := next(self._left, None)) is None:
            if self._group == self._file.num_row_groups:
                return None
            group = self._file.metadata.row_group(self._group)
            each = max(1, group.total_byte_size // max(1, group.num_rows))
            size = max(1, min(self._options.chunk_rows, self._options.chunk_bytes // each))
            self._left = self._file.iter_batches(size, row_groups=[self._group], columns=self._names, use_threads=False)
            self._group += 1
        return batch

    def pass_over(self, rows: int) -> int:
        """Row groups that begin here and are passed over whole are not read."""
        passed = 0
        if (batch := next(self._left, None)) is not None:
            self._left = chain([batch], self._left)
            return 0
        while self._group < self._file.num_row_groups:
            size = self._file.metadata.row_group(self._group).num_rows
            if passed + size > rows:
                break
            passed, self._group = passed + size, self._group + 1
        return passed


class ArrowBatches(Batches):
    """An IPC file, or a stream, whichever it begins like."""

    def __init__(self, source: Source, options: ScoringOptions, opened: ExitStack, columns: Choose | None) -> None:
        import pyarrow as pa
        from pyarrow import ipc

        file = opened.enter_context(_arrow_file(source.path))
        found: Iterator[RecordBatch]
        if source.path != "-" and file.read(6) == b"ARROW1":
            file.seek(0)
            reader = opened.enter_context(ipc.open_file(file))
            found = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            if source.path != "-":
                file.seek(0)
            reader = opened.enter_context(ipc.open_stream(file))
            found = iter(reader)
        names = _chosen(source, reader.schema.names, columns)
        self.schema = pa.schema([reader.schema.field(name) for name in names])
        self._found = (batch.select(names) for batch in found)

    def next(self) -> RecordBatch | None:
        return next(self._found, None)


def _chosen(source: Source, names: list[str], columns: Choose | None) -> list[str]:
    """Without the column that pandas writes a frame's index as. Raises ScoringError for names that occur twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ScoringError(f"{source.path} has two columns {twice[0]!r}.")
    plain = [n for n in names if not (n.startswith("__index_level_") and n.endswith("__"))]
    return plain if columns is None else columns(plain)


def _is_local(path: str) -> bool:
    return not is_url(path) or path.startswith("file://")


def _arrow_file(path: str) -> NativeFile:
    import pyarrow as pa

    if _is_local(path) and path != "-":
        if LocalFileStore().describe(path) is None:
            raise ScoringError(f"There is no file {path}.")
        return pa.OSFile(path.removeprefix("file://"))
    return pa.PythonFile(open_bytes(path), mode="r")
