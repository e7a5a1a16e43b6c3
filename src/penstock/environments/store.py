"""Where environments are kept: entries that appear whole, are shared while they are used, and go when nobody does.

An entry is a directory named by a digest. It is made beside its place and appears by a rename. Its lock (flock) is held
alone while it is made, also by the program that makes it, so that a build whose starter was killed is waited for; and
it is shared by every process that uses the entry, so that nobody removes what runs.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import EnvironmentUnbuildable

_FACTS = "environment.json"
_USED = "used"
_ENTRY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One environment. `facts` are what was written down when it was made; `used` is when somebody last asked for it,
    in seconds since the epoch."""

    path: Path
    facts: Mapping[str, Any]
    used: float

    @property
    def digest(self) -> str:
        return self.path.name


class EnvironmentStore:
    """Entries under a directory. Safe to use from several threads and processes; without locks (Windows, odd file
    systems) two may make the same entry, and one of them wins."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # The whole mutable state: the locks that are held for as long as this object lives, by digest.
        self._held: dict[str, int] = {}
        self._guard = threading.Lock()

    def get(self, digest: str, make: Callable[[Path, int], Mapping[str, Any]]) -> Path:
        """The entry, from here or else through `make`, which fills a directory and says what is to be written down. It
        is given the file that holds the lock, to keep open in what it starts. The entry stays until `close`.

        Raises EnvironmentUnbuildable, and what `make` raises.
        """
        entry = self.root / digest
        with self._guard:
            if digest in self._held and _complete(entry):
                _touch(entry)
                return entry
        lock = self._open_lock(entry)
        if lock is None:
            if _complete(entry):
                return entry
            raise self._unwritable(OSError(errno.EROFS, os.strerror(errno.EROFS)))
        try:
            _flock(lock, alone=False)
            while not _complete(entry):
                _flock(lock, alone=True)
                if not _complete(entry):
                    self._make(entry, lock, make)
                _flock(lock, alone=False)  # not in one step: somebody may have pruned it in between
            _touch(entry)
            self._keep(digest, lock)
        except BaseException:
            os.close(lock)
            raise
        return entry

    def has(self, digest: str) -> bool:
        return _complete(self.root / digest)

    def entries(self) -> list[Entry]:
        """All complete entries, the last used one first."""
        found = []
        for path in self.root.iterdir() if self.root.is_dir() else ():
            if _ENTRY.fullmatch(path.name):
                with suppress(OSError, ValueError):
                    found.append(Entry(path, json.loads((path / _FACTS).read_bytes()), (path / _USED).stat().st_mtime))
        return sorted(found, key=lambda entry: (-entry.used, entry.digest))

    def prune(self, wanted: Callable[[Entry], bool]) -> list[Entry]:
        """Removes entries that `wanted` does not want and nobody uses, and what killed builds have left."""
        removed = [entry for entry in self.entries() if not wanted(entry) and self._remove(entry.path)]
        for left in self.root.glob(".*.*"):
            digest = left.name.split(".")[1]
            if _ENTRY.fullmatch(digest):
                with self._if_unused(digest) as free:
                    if free:
                        shutil.rmtree(left, ignore_errors=True)
        return removed

    def close(self) -> None:
        """Entries may be pruned again."""
        with self._guard:
            for lock in self._held.values():
                os.close(lock)
            self._held.clear()

    def _make(self, entry: Path, lock: int, make: Callable[[Path, int], Mapping[str, Any]]) -> None:
        for left in self.root.glob(f".{entry.name}.*"):  # by a process that was killed: nobody else is at work here
            shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(entry, ignore_errors=True)  # incomplete: somebody has changed it
        try:
            directory = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=self.root))
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            facts = {**make(directory, lock), "size": _size(directory), "made": time.time()}
            (directory / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
            (directory / _USED).touch()
            directory.chmod(0o755)
            directory.rename(entry)
        except OSError as error:
            if not _complete(entry):  # else made by somebody else, where locks do not work
                raise self._unwritable(error) from None
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _remove(self, path: Path) -> bool:
        with self._if_unused(path.name) as free:
            if not free:
                return False
            gone = path.with_name(f".{path.name}.gone")
            with suppress(OSError):
                path.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
            return not path.exists()

    @contextmanager
    def _if_unused(self, digest: str) -> Iterator[bool]:
        lock = self._open_lock(self.root / digest)
        try:
            yield lock is not None and _flock(lock, alone=True, wait=False)
        finally:
            if lock is not None:
                os.close(lock)

    def _keep(self, digest: str, lock: int) -> None:
        with self._guard:
            if digest in self._held:
                os.close(lock)
            else:
                self._held[digest] = lock

    def _open_lock(self, entry: Path) -> int | None:
        """None where nothing can be written: environments that came with the image can be used all the same."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self.root / f"{entry.name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                return None
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> EnvironmentUnbuildable:
        return EnvironmentUnbuildable(
            f"Environments cannot be kept in {self.root}: {error.strerror or error}.",
            hint="Make room there, or name another directory with PENSTOCK_CACHE.",
        )

    def __repr__(self) -> str:
        return f"<EnvironmentStore {self.root}, {len(self._held)} in use>"


def interpreter_of(entry: Path) -> Path:
    """The Python of an environment."""
    return entry / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _complete(entry: Path) -> bool:
    """Whether it is all there; its Python is a link to one outside, which may have gone."""
    return (entry / _FACTS).is_file() and interpreter_of(entry).exists()


def _touch(entry: Path) -> None:
    with suppress(OSError):
        os.utime(entry / _USED)


def _size(directory: Path) -> int:
    """Bytes of all files; those that are linked from uv's own cache count as well."""
    return sum(
        os.lstat(os.path.join(folder, name)).st_size for folder, _, files in os.walk(directory) for name in files
    )


def _flock(descriptor: int, *, alone: bool, wait: bool = True) -> bool:
    """Whether the lock is held now."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
