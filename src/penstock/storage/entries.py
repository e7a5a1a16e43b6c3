"""Directories by digest, shared by all processes of a machine: made once, whole, kept while they are used, else pruned.

An entry is a directory named by 32 hex digits. It is filled beside its place and appears by a rename. Two locks (flock)
guard it, and end with the process that has them, however that ends:

- the lock file beside it is held alone by a process that makes or removes the entry;
- the directory itself is locked shared by each process that uses it (`EntryHold`), so that nobody removes it.

Without locks (Windows, odd file systems) two processes may make the same entry, one of them wins, and none is removed.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from penstock.storage.atomic import new_directory

_ENTRY = re.compile(r"[0-9a-f]{32}")
_LEFT = re.compile(r"\.([0-9a-f]{32})\..+")


class EntryHold:
    """Keeps an entry where it is, until it is closed or forgotten. One of nothing holds nothing."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Lets go; the entry counts as used until now. A second time it does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _touch(descriptor)
            os.close(descriptor)

    def __del__(self) -> None:
        if _touch is not None:  # else the program ends, its modules are cleared already, and the lock ends with it
            self.close()

    def __repr__(self) -> str:
        return f"<EntryHold {'closed' if self._descriptor is None else 'on an entry'}>"


def hold_entry(entry: Path) -> EntryHold:
    """A hold on an entry, which counts as used now; on nothing where it is gone."""
    try:
        descriptor = os.open(entry, os.O_RDONLY)
    except OSError:  # gone; or a directory, on Windows
        return EntryHold()
    _flock(descriptor, shared=True, wait=False)
    _touch(descriptor)
    return EntryHold(descriptor)


class EntryLock:
    """The lock of a process that makes or removes an entry. Programs that inherit `descriptor` keep it, too."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __enter__(self) -> EntryLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.descriptor)


class Entries:
    """The entries under a directory. Safe to use from several threads and processes. Raises OSError as it comes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def all(self) -> list[Path]:
        """In no order; those that appeared, whole or changed since."""
        return [path for path in self._named(_ENTRY) if path.is_dir()]

    def lock(self, name: str) -> EntryLock:
        """Waits for the lock of an entry, which need not exist."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._lock_file(name)
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            _flock(descriptor)
            if _is_still(path, descriptor):
                return EntryLock(descriptor)
            os.close(descriptor)  # the process that had it before has removed the entry, and this file with it

    def make(self, name: str, fill: Callable[[Path], None], *, sync: bool = True) -> None:
        """Makes an entry, which `fill` puts into an empty directory, in place of one that is no good. For a holder of
        its lock. Raises FileExistsError where another process was quicker, OSError, and what `fill` raises."""
        for left in self.root.glob(f".{name}.*"):  # by a process that was killed: nobody else is at work here
            shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(self.root / name, ignore_errors=True)
        with new_directory(self.root / name, sync=sync) as directory:
            fill(directory)

    def remove(self, name: str) -> bool:
        """Removes an entry that nobody makes and nobody uses; returns whether it did."""
        lock = self._lock_if_free(name)
        if lock is None:
            return False
        with lock:
            if _is_held(self.root / name):
                return False
            going = self.root / f".{name}.{uuid.uuid4().hex}"
            try:
                (self.root / name).rename(going)  # at once, so that a kill in the middle leaves no half of it
            except OSError:
                return False
            shutil.rmtree(going, ignore_errors=True)
            self._lock_file(name).unlink(missing_ok=True)
            return True

    def sweep(self) -> None:
        """Removes what killed processes left behind."""
        for left in self._named(_LEFT):
            lock = self._lock_if_free(left.name[1:33])
            if lock is not None:
                with lock:
                    shutil.rmtree(left, ignore_errors=True)

    def _lock_if_free(self, name: str) -> EntryLock | None:
        path = self._lock_file(name)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            return None
        if _flock(descriptor, wait=False) and _is_still(path, descriptor):
            return EntryLock(descriptor)
        os.close(descriptor)
        return None

    def _lock_file(self, name: str) -> Path:
        return self.root / f"{name}.lock"

    def _named(self, pattern: re.Pattern[str]) -> list[Path]:
        try:
            return [self.root / name for name in os.listdir(self.root) if pattern.fullmatch(name)]
        except OSError:
            return []

    def __repr__(self) -> str:
        return f"<Entries {self.root}, {len(self.all())} there>"


def last_used(entry: Path) -> float:
    """In seconds since the epoch; 0 where it is gone."""
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def size_of(directory: Path) -> int:
    """Bytes of all files."""
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # removed meanwhile
                continue
    return total


def _touch(descriptor: int) -> None:
    """Notes that an entry is used now: the one that was used least lately goes first."""
    try:
        os.utime(descriptor)
    except OSError:  # removed meanwhile, or not ours
        return


def _flock(descriptor: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Locks an open file or directory. Returns whether it did: not where another holds it, nor where there are no
    locks (Windows, odd file systems)."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_held(entry: Path) -> bool:
    """Whether a process uses the entry. Where there are no locks nobody can tell, so it is."""
    try:
        descriptor = os.open(entry, os.O_RDONLY)
    except OSError:
        return True
    try:
        return not _flock(descriptor, wait=False)
    finally:
        os.close(descriptor)
