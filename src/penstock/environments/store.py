"""Where environments are kept: entries (`storage.entries`) named by a digest of what they are made of.

The program that makes one inherits its lock, so that a build whose starter was killed is waited for.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import EnvironmentUnbuildable
from penstock.storage.entries import Entries, EntryHold, hold_entry, last_used, size_of

_FACTS = "environment.json"
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Entry:
    """One environment. `facts` are what was written down when it was made; `used` is when it was last asked for or let
    go of, in seconds since the epoch."""

    path: Path
    facts: Mapping[str, Any]
    used: float

    @property
    def digest(self) -> str:
        return self.path.name


class EnvironmentStore:
    """Entries under a directory. Safe to use from several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries = Entries(root)
        # The whole mutable state: the entries that are held for as long as this object lives, by digest.
        self._held: dict[str, EntryHold] = {}
        self._guard = threading.Lock()

    def get(self, digest: str, make: Callable[[Path, int], Mapping[str, Any]]) -> Path:
        """The entry, from here or else through `make`, which fills a directory and says what is to be written down. It
        is given the file that holds the lock, to keep open in what it starts. The entry stays until `close`.

        Raises EnvironmentUnbuildable, and what `make` raises.
        """
        entry = self.root / digest
        with self._guard:
            if digest in self._held and _complete(entry):
                self._held[digest] = hold_entry(entry)  # which counts as a use
                return entry
        try:
            lock = self._entries.lock(digest)
        except OSError as error:
            # Environments that came with a read-only image can be used all the same.
            if error.errno in _READ_ONLY and _complete(entry):
                return entry
            raise self._unwritable(error) from None
        with lock:
            if not _complete(entry):
                self._make(entry, lock.descriptor, make)
            held = hold_entry(entry)
        with self._guard:
            self._held[digest] = held
        return entry

    def has(self, digest: str) -> bool:
        return _complete(self.root / digest)

    def entries(self) -> list[Entry]:
        """All complete entries, the last used one first."""
        found = []
        for path in self._entries.all():
            with suppress(OSError, ValueError):
                found.append(Entry(path, json.loads((path / _FACTS).read_bytes()), last_used(path)))
        return sorted(found, key=lambda entry: (-entry.used, entry.digest))

    def prune(self, wanted: Callable[[Entry], bool]) -> list[Entry]:
        """Removes entries that `wanted` does not want and nobody uses, and what killed builds have left."""
        removed = [entry for entry in self.entries() if not wanted(entry) and self._entries.remove(entry.digest)]
        self._entries.sweep()
        return removed

    def close(self) -> None:
        """Entries may be pruned again."""
        with self._guard:
            for held in self._held.values():
                held.close()
            self._held.clear()

    def _make(self, entry: Path, lock: int, make: Callable[[Path, int], Mapping[str, Any]]) -> None:
        def fill(directory: Path) -> None:
            facts = {**make(directory, lock), "size": size_of(directory), "made": time.time()}
            (directory / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")

        try:
            self._entries.make(entry.name, fill, sync=False)  # thousands of files, which are made anew if need be
        except OSError as error:
            if not _complete(entry):  # else made by another process, where locks do not work
                raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> EnvironmentUnbuildable:
        return EnvironmentUnbuildable(
            f"Environments cannot be stored in {self.root}: {error.strerror or error}.",
            hint="Free some space, or set PENSTOCK_CACHE to another directory.",
        )

    def __repr__(self) -> str:
        return f"<EnvironmentStore {self.root}, {len(self._held)} in use>"


def interpreter_of(entry: Path) -> Path:
    """The Python of an environment."""
    return entry / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _complete(entry: Path) -> bool:
    """Whether it is all there; its Python is a link to one outside, which may have gone."""
    return (entry / _FACTS).is_file() and interpreter_of(entry).exists()
