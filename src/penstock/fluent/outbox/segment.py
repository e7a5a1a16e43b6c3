"""A segment: what one process logged to one place, on disk from the moment it was logged until it was delivered.

A directory of the spool:

    records.jsonl   a line that says where it goes, then one line a record, appended with one write each time
    delivered       up to which byte everything in it is delivered, and the ids that runs got where we cannot choose
    files/          the files that records speak of

Who delivers a segment holds a lock on `records.jsonl`, which the system releases when a process dies in any way.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from penstock.fluent.outbox.entries import Record

_RECORDS, _DELIVERED, _FILES = "records.jsonl", "delivered", "files"
_FORMAT = 1

# Records that are read at once, in bytes; and how large a file may grow before it is emptied of what was delivered.
_READ_BYTES = 1024 * 1024
_TIDY_BYTES = 16 * 1024 * 1024


class SpoolChunk(NamedTuple):
    """Records, and the byte after the last one. `damaged` lines could not be read."""

    records: list[Record]
    end: int
    damaged: int = 0


class Segment:
    """One process appends and delivers, or another one delivers what a process left."""

    def __init__(self, directory: Path, file: BinaryIO, header: Mapping[str, Any], start: int) -> None:
        self.directory = directory
        self.uri = str(header["uri"])
        self._file = file
        self._start = start
        # The whole mutable state: bytes written and delivered, the ids that runs got, by those that we gave them, and
        # the file that keeps the latter two, once there is one.
        self._lock = threading.Lock()
        self._size = os.fstat(file.fileno()).st_size
        self._delivered = start
        self.run_ids: dict[str, str] = {}
        self._marks: BinaryIO | None = None

    @classmethod
    def create(cls, spool: str | Path, uri: str) -> Segment:
        """`uri` has no credentials in it. Raises OSError."""
        directory = Path(spool) / uuid.uuid4().hex
        directory.mkdir(mode=0o700, parents=True)
        file = open(directory / _RECORDS, "x+b", buffering=0)  # noqa: SIM115 - closed with the segment
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        header = json.dumps({"penstock_spool": _FORMAT, "uri": uri, "pid": os.getpid()}).encode() + b"\n"
        file.write(header)
        return cls(directory, file, {"uri": uri}, len(header))

    @classmethod
    def open(cls, directory: Path) -> Segment:
        """Takes what another process left. Raises BlockingIOError while that one lives, OSError and ValueError for what
        is no segment."""
        file = open(directory / _RECORDS, "r+b", buffering=0)  # noqa: SIM115 - closed with the segment
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            first = file.read(64 * 1024).partition(b"\n")[0]
            header = json.loads(first)
            if header.get("penstock_spool") != _FORMAT:
                raise ValueError("of another release")
            found = cls(directory, file, header, len(first) + 1)
            found._read_delivered()
        except BaseException:
            file.close()
            raise
        return found

    def __repr__(self) -> str:
        return f"<Segment {self.directory}: {self.waiting} bytes to deliver to {self.uri}>"

    @property
    def waiting(self) -> int:
        """Bytes of records that are not delivered yet. Without the lock, which is held while the disk works."""
        return max(self._size - self._delivered, 0)

    def append(self, lines: bytes, *, durable: bool) -> None:
        """`durable` waits for the disk; what is written survives the end of this process in any case. Raises OSError,
        and leaves nothing of the lines behind."""
        with self._lock:
            self._file.seek(self._size)
            try:
                view = memoryview(lines)
                while view:
                    view = view[self._file.write(view) :]
                if durable:
                    os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(self._size)
                raise
            self._size += len(lines)

    def read(self, start: int = 0) -> SpoolChunk:
        """Records after a place, or after what is delivered: about a megabyte of them, and at least one."""
        with self._lock:
            start = max(start, self._delivered)
            size = _READ_BYTES
            while True:
                data = os.pread(self._file.fileno(), min(size, self._size - start), start)
                end = data.rfind(b"\n") + 1
                if end or len(data) < size:
                    break
                size *= 4
            whole = self._size
        if not end:  # what a machine that lost its power left of a line
            return SpoolChunk([], whole, 1 if data else 0)
        records, damaged = [], 0
        for line in data[:end].splitlines():
            try:
                records.append(Record.of_line(line))
            except (ValueError, TypeError):
                damaged += 1
        return SpoolChunk(records, start + end, damaged)

    def deliver(self, end: int) -> None:
        """Everything up to a place is delivered, which the next process knows, too."""
        with self._lock:
            self._delivered = end
            if end >= self._size > _TIDY_BYTES:
                self._file.truncate(self._start)
                self._size = self._delivered = self._start
            self._write_delivered()

    def add_file(self) -> Path:
        """A place for a file that a record will speak of, by its name."""
        directory = self.directory / _FILES
        directory.mkdir(exist_ok=True)
        return directory / uuid.uuid4().hex

    def file(self, name: str) -> Path:
        return self.directory / _FILES / os.path.basename(name)

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

    def _read_delivered(self) -> None:
        try:
            found = json.loads((self.directory / _DELIVERED).read_bytes())
            end = int(found["end"])
            # Past the end: the file was emptied since then, and the machine lost its power before this said so.
            self._delivered = end if self._start <= end <= self._size else self._start
            self.run_ids = {str(ours): str(theirs) for ours, theirs in found["runs"].items()}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            self._delivered = self._start  # delivering again changes nothing

    def _write_delivered(self) -> None:
        """In place, which costs a fraction of a new file. What a machine that lost its power leaves of it is no JSON,
        and then everything is delivered again."""
        if self._marks is None:
            self._marks = open(self.directory / _DELIVERED, "wb", buffering=0)  # noqa: SIM115 - closed with the segment
        content = json.dumps({"end": self._delivered, "runs": self.run_ids}).encode()
        os.pwrite(self._marks.fileno(), content, 0)
        self._marks.truncate(len(content))
