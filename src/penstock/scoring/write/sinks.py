"""Where scored chunks go: parts in a directory, one file, or a stream. Each is given the chunks in order."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from penstock.scoring.commit import REJECTS, JobManifest, PartDone
from penstock.scoring.plan import ScoringPlan
from penstock.scoring.rejects import Reject
from penstock.scoring.score.scorer import Scored
from penstock.scoring.write.writers import Writer, open_writer
from penstock.storage.files import FileStore, file_store_of, join

if TYPE_CHECKING:
    from pyarrow import Schema as ArrowSchema

Now = Callable[[], str]


class Sink(ABC):
    @abstractmethod
    def write(self, scored: Scored) -> None: ...

    @abstractmethod
    def finish(self) -> None:
        """After the last chunk: makes the output appear."""

    @abstractmethod
    def abandon(self) -> None:
        """After a failure: what is not complete disappears. Also after `finish`, when there is nothing to do."""


class _RejectsFile:
    """Rejects, written as they come: however many there are, they are not held in memory. With `always` the file is
    there even if none came. Without a path they are only counted."""

    def __init__(self, path: str | None, *, always: bool = True) -> None:
        self._path = path
        # The whole state: how many came, and the file beside its place once it is open.
        self.count = 0
        self._closing = ExitStack()
        self._file: BinaryIO | None = None
        if always:
            self._open()

    def _open(self) -> None:
        if self._path is not None and self._file is None:
            beside = self._closing.enter_context(file_store_of(self._path).written(self._path))
            self._file = beside.open("wb")

    def write(self, rejects: tuple[Reject, ...]) -> None:
        self.count += len(rejects)
        if rejects:
            self._open()
        if self._file is not None:
            self._file.writelines(reject.line() for reject in rejects)

    def finish(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._closing.close()

    def drop(self) -> None:
        """Nothing of it appears."""
        if self._file is not None:
            with suppress(OSError):  # a full disk may refuse the last bytes too
                self._file.close()
            self._file = None
            _abandoned(self._closing)


@dataclass
class _OpenFile:
    """A file that is being written beside its place, and the rejects that belong to it."""

    path: Path
    writer: Writer
    closing: ExitStack
    rejects: _RejectsFile
    rows_in: int = 0
    rows_out: int = 0


def _open(
    place: FileStore,
    path: str,
    plan: ScoringPlan,
    shape: ArrowSchema,
    metadata: Mapping[str, str],
    rejects: _RejectsFile,
) -> _OpenFile:
    closing = ExitStack()
    beside = closing.enter_context(place.written(path))
    try:
        writer = open_writer(beside, plan.options.output, shape, metadata)
    except BaseException as error:
        closing.__exit__(type(error), error, None)
        raise
    return _OpenFile(beside, writer, closing, rejects)


class PartsSink(Sink):
    """A directory: one file for each part, and its line in the manifest when it is in its place."""

    def __init__(
        self,
        directory: str,
        manifest: JobManifest,
        plan: ScoringPlan,
        shape: ArrowSchema,
        metadata: Mapping[str, str],
        now: Now,
    ) -> None:
        self._directory, self._place, self._manifest = directory, file_store_of(directory), manifest
        self._plan, self._shape, self._metadata, self._now = plan, shape, metadata, now
        # The whole state: the part that is being written and its last chunk.
        self._file: _OpenFile | None = None
        self._last: Scored | None = None

    def write(self, scored: Scored) -> None:
        if self._last is not None and _part(self._last) != _part(scored):
            self._complete()
        if self._file is None:
            name = self._plan.part_name(*_part(scored))
            rejects = _RejectsFile(join(self._directory, rejects_of(name)), always=False)
            path = join(self._directory, name)
            self._file = _open(self._place, path, self._plan, self._shape, self._metadata, rejects)
        _put(self._file, scored)
        self._last = scored

    def _complete(self) -> None:
        """Closes the part: its rejects first, then its file, then the line that says so."""
        file, last = self._file, self._last
        if file is None or last is None:
            return
        name = self._plan.part_name(*_part(last))
        file.rejects.finish()
        file.writer.close()
        size, checksum = file.path.stat().st_size, _checksum(file.path)
        file.closing.close()
        chunk = last.chunk
        self._file = self._last = None
        self._manifest.commit(
            PartDone(
                name,
                chunk.source,
                chunk.part,
                chunk.row + chunk.rows - file.rows_in,
                file.rows_in,
                file.rows_out,
                file.rejects.count,
                size,
                checksum,
                chunk.end,
            ),
            at=self._now(),
        )

    def finish(self) -> None:
        self._complete()

    def abandon(self) -> None:
        if self._file is not None:
            self._file.rejects.drop()
        _drop(self._file)
        self._file = None


def rejects_of(part: str) -> str:
    """The file of a part's rejects, by a name that readers of the directory pass over."""
    return f"{REJECTS}-{part.split('.')[0]}.jsonl"


class FileSink(Sink):
    """One file, which appears when it is complete, and the rejects beside it."""

    def __init__(
        self, path: str, plan: ScoringPlan, shape: ArrowSchema, metadata: Mapping[str, str], rejects: str | None
    ) -> None:
        self._rejects = _RejectsFile(rejects)
        try:
            self._file: _OpenFile | None = _open(file_store_of(path), path, plan, shape, metadata, self._rejects)
        except BaseException:
            self._rejects.drop()
            raise

    def write(self, scored: Scored) -> None:
        assert self._file is not None
        _put(self._file, scored)

    def finish(self) -> None:
        assert self._file is not None
        self._file.writer.close()
        self._rejects.finish()
        self._file.closing.close()
        self._file = None

    def abandon(self) -> None:
        _drop(self._file)
        self._file = None
        self._rejects.finish()  # what is wrong with the rows is worth knowing above all when the job fails


class StreamSink(Sink):
    """Standard output: rows go out as they come, so nothing of it is atomic."""

    def __init__(
        self, stream: BinaryIO, plan: ScoringPlan, shape: ArrowSchema, metadata: Mapping[str, str], rejects: str | None
    ):
        self._writer: Writer | None = open_writer(stream, plan.options.output, shape, metadata)
        self._stream = stream
        self._rejects = _RejectsFile(rejects)

    def write(self, scored: Scored) -> None:
        assert self._writer is not None
        self._writer.write(scored.table)
        self._rejects.write(scored.rejects)

    def finish(self) -> None:
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        self._stream.flush()
        self._rejects.finish()

    def abandon(self) -> None:
        self._writer = None
        self._rejects.finish()


def _part(scored: Scored) -> tuple[int, int]:
    return scored.chunk.source, scored.chunk.part


def _put(file: _OpenFile, scored: Scored) -> None:
    file.writer.write(scored.table)
    file.rejects.write(scored.rejects)
    file.rows_in += scored.chunk.rows
    file.rows_out += scored.table.num_rows


def _drop(file: _OpenFile | None) -> None:
    if file is not None:
        _abandoned(file.closing)


def _abandoned(closing: ExitStack) -> None:
    """Leaves the context of `written` as a failure does, so that nothing appears."""
    abandoned = RuntimeError("abandoned")
    try:
        closing.__exit__(RuntimeError, abandoned, None)
    except RuntimeError as error:
        if error is not abandoned:
            raise


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
