"""Who uses a package in the cache: a shared lock on its directory, which ends with the process, however that ends.

Between fetching a package and loading it nobody has it open. For that while `fetch` leaves a hold with this process,
and `hold` takes it over.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

ORIGIN = "origin.json"  # beside a package in the cache: what it was fetched as

# A package that is fetched and never loaded, only looked at, is not kept for ever in a process that lives long.
_MOST_PENDING = 16


class PackageHold:
    """Keeps a cached package where it is, until it is closed or forgotten."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Lets go; the package counts as used until now. A second time it does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            touch(descriptor)
            os.close(descriptor)

    __del__ = close

    def __repr__(self) -> str:
        return f"<PackageHold {'closed' if self._descriptor is None else 'on a cached package'}>"


def hold(package: Path) -> PackageHold:
    """A hold on the package at a path, if that lies in a cache; elsewhere it holds nothing."""
    entry = package.parent
    taken = _take(entry) if (entry / ORIGIN).is_file() else PackageHold()
    with _GUARD:
        left = _PENDING.pop(str(package), None)
    if left is not None:
        left.close()
    return taken


def hold_until_taken(package: Path) -> None:
    """Holds a package that was just fetched, until whoever uses it takes a hold of its own."""
    taken = _take(package.parent)
    with _GUARD:
        before = _PENDING.pop(str(package), None)
        _PENDING[str(package)] = taken
        oldest = _PENDING.pop(next(iter(_PENDING))) if len(_PENDING) > _MOST_PENDING else None
    for left in (before, oldest):
        if left is not None:
            left.close()


def touch(entry: int | Path) -> None:
    """Notes that an entry is used now: the one that was used least lately goes first."""
    try:
        os.utime(entry)
    except OSError:  # removed meanwhile, or not ours
        return


def lock(descriptor: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Locks an open file or directory. Says whether it did: not where another holds it, nor where there are no locks
    (Windows, odd file systems)."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _take(entry: Path) -> PackageHold:
    try:
        descriptor = os.open(entry, os.O_RDONLY)
    except OSError:  # gone; or a directory, on Windows
        return PackageHold()
    lock(descriptor, shared=True, wait=False)
    return PackageHold(descriptor)


# All mutable state: holds that nobody has taken over yet, by the package's path, the oldest first.
_GUARD = threading.Lock()
_PENDING: dict[str, PackageHold] = {}
