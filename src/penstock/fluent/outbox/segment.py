"""A segment: what one process logged to one place, on disk from the moment it was logged until it was delivered.

A directory of the spool:

    records.jsonl   a line that says where it goes, then lines of entries, several of them with one write
    delivered       up to which byte everything in it is delivered, and the ids that runs got where we cannot choose
    files/          the files that records speak of

Who delivers a segment holds a lock on `records.jsonl`, which the system releases when a process dies in any way. Only
what the user himself left is delivered: see `private_directory.py`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import threading
import uuid
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from penstock.fluent.outbox.private_directory import PrivateDirectory, private_place
from penstock.fluent.outbox.source import DeliverySource, SpoolChunk

_RECORDS, _DELIVERED, _FILES = "records.jsonl", "delivered", "files"
_FORMAT = 2
_HEADER_BYTES = 64 * 1024

# What is read at once, in bytes; and how large a file may grow before it is emptied of what was delivered.
_READ_BYTES = 1024 * 1024
_TIDY_BYTES = 16 * 1024 * 1024


class SegmentHeader(NamedTuple):
    """The first line: where the rest goes, and who wrote it. `size` is in bytes."""

    uri: str
    process: int
    size: int

    @classmethod
    def read(cls, directory: Path) -> SegmentHeader:
        """Also of a segment that another process has. Raises OSError, PermissionError for one of another user, and
        ValueError."""
        with closing(PrivateDirectory.open(directory)) as held, held.open_file(_RECORDS, os.O_RDONLY) as file:
            return cls.of(file.read(_HEADER_BYTES))

    @classmethod
    def of(cls, beginning: bytes) -> SegmentHeader:
        """Raises ValueError for what begins in another way."""
        line, ended, _ = beginning.partition(b"\n")
        try:
            header = json.loads(line) if ended else None
        except ValueError:
            header = None
        if not isinstance(header, dict) or header.get("penstock_spool") != _FORMAT:
            raise ValueError("it was written by another release, or by something else")
        return cls(str(header["uri"]), int(header["pid"]), len(line) + 1)

    def line(self) -> bytes:
        return json.dumps({"penstock_spool": _FORMAT, "uri": self.uri, "pid": self.process}).encode() + b"\n"


class Segment(DeliverySource):
    """One process appends and delivers, or another one delivers what a process left."""

    def __init__(
        self, directory: Path, held: PrivateDirectory, file: BinaryIO, uri: str, start: int, *, is_ours: bool
    ) -> None:
        """`held` is the directory as it was opened."""
        self.directory = directory
        self.uri = uri
        self.is_ours = is_ours  # all that is in it was written by this process
        self._held = held
        self._file = file
        self._start = start
        # The whole mutable state: bytes written and delivered, the ids that runs got, by those that we gave them, and
        # the file that keeps the latter two, once there is one, with its size.
        self._lock = threading.Lock()
        self._size = os.fstat(file.fileno()).st_size
        self._delivered = start
        self.run_ids: dict[str, str] = {}
        self._marks: BinaryIO | None = None
        self._marks_size = 0

    @classmethod
    def create(cls, spool: str | Path, uri: str) -> Segment:
        """`uri` has no credentials in it. Raises OSError."""
        directory = private_place(Path(spool)) / uuid.uuid4().hex
        directory.mkdir(mode=0o700)
        header = SegmentHeader(uri, os.getpid(), 0).line()
        held: PrivateDirectory | None = None
        file: BinaryIO | None = None
        try:
            held = PrivateDirectory.open(directory)
            file = held.open_file(_RECORDS, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.write(header) < len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            for opened in (file, held):
                if opened is not None:
                    opened.close()
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(directory, held, file, uri, len(header), is_ours=True)

    @classmethod
    def open(cls, directory: Path) -> Segment:
        """Takes what another process left. Raises BlockingIOError while that one lives, PermissionError for what
        another user made, OSError and ValueError for what is no segment."""
        held = PrivateDirectory.open(directory)
        file: BinaryIO | None = None
        try:
            file = held.open_file(_RECORDS, os.O_RDWR)
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = SegmentHeader.of(file.read(_HEADER_BYTES))
            found = cls(directory, held, file, header.uri, header.size, is_ours=False)
            found._read_delivered()
        except BaseException:
            if file is not None:
                file.close()
            held.close()
            raise
        return found

    def __repr__(self) -> str:
        return f"<Segment {self.directory}: {self.waiting} bytes to deliver to {self.uri}>"

    @property
    def place(self) -> str:
        return str(self.directory)

    @property
    def waiting(self) -> int:
        # Without the lock, which is held while the disk works.
        return max(self._size - self._delivered, 0)

    def append(self, lines: bytes) -> None:
        """What is written survives the end of this process. Raises OSError, and leaves nothing of the lines behind."""
        with self._lock:
            try:
                written = 0
                while written < len(lines):
                    rest = lines[written:] if written else lines
                    written += os.pwrite(self._file.fileno(), rest, self._size + written)
            except OSError:
                self._file.truncate(self._size)
                raise
            self._size += len(lines)

    def sync(self) -> None:
        """Waits for the disk, so that what is written survives the end of the machine, too. Raises OSError."""
        os.fsync(self._file.fileno())

    def read(self) -> SpoolChunk:
        with self._lock:
            start, size = self._delivered, _READ_BYTES
            while True:
                data = os.pread(self._file.fileno(), min(size, self._size - start), start)
                end = data.rfind(b"\n") + 1
                if end or len(data) < size:
                    break
                size *= 4
            whole = self._size
        if not end:
            return SpoolChunk([], whole, is_cut_off=bool(data))
        return SpoolChunk(data[: end - 1].split(b"\n"), start + end)

    def deliver(self, end: int) -> None:
        """Which the next process knows, too."""
        with self._lock:
            self._delivered = end
            if end >= self._size > _TIDY_BYTES:
                self._file.truncate(self._start)
                self._size = self._delivered = self._start
            self._write_delivered()

    def add_file(self) -> Path:
        """A place for a file that a record will speak of, by its name."""
        directory = self.directory / _FILES
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / uuid.uuid4().hex

    def open_file(self, name: str) -> BinaryIO:
        with closing(PrivateDirectory.open(_FILES, self._held)) as files:
            return files.open_file(os.path.basename(name), os.O_RDONLY)

    def remove_file(self, name: str) -> None:
        with suppress(OSError), closing(PrivateDirectory.open(_FILES, self._held)) as files:
            files.remove_file(os.path.basename(name))

    def close(self) -> None:
        """Takes the directory away if everything is delivered."""
        with self._lock:
            if self._delivered >= self._size:
                shutil.rmtree(self.directory, ignore_errors=True)
            self._close_files()

    def forget(self) -> None:
        """After a fork: the segment is the parent's, and so is the lock."""
        self._close_files()

    def _close_files(self) -> None:
        self._file.close()
        if self._marks is not None:
            self._marks.close()
        self._held.close()

    def _read_delivered(self) -> None:
        try:
            with self._held.open_file(_DELIVERED, os.O_RDONLY) as file:
                found = json.loads(file.read())
            end = int(found["end"])
            # Past the end: the file was emptied since then, and the machine lost its power before this said so.
            self._delivered = end if self._start <= end <= self._size else self._start
            self.run_ids = {str(ours): str(theirs) for ours, theirs in found["runs"].items()}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            self._delivered = self._start  # delivering again changes nothing

    def _write_delivered(self) -> None:
        """In place, which costs a fraction of a new file. What a machine that lost its power leaves of it is no JSON,
        and then everything is delivered again; as it is after a disk was too full for it."""
        content = json.dumps({"end": self._delivered, "runs": self.run_ids}).encode()
        with suppress(OSError):
            if self._marks is None:
                self._marks = self._held.open_file(_DELIVERED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.pwrite(self._marks.fileno(), content, 0)
            if len(content) < self._marks_size:  # it grows, but for an end that went back to the start
                self._marks.truncate(len(content))
            self._marks_size = len(content)
