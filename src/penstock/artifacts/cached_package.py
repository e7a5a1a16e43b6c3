"""A package that was fetched, and the hold that keeps it where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from penstock.storage.entries import EntryHold, hold_entry

ORIGIN = "origin.json"  # beside a package in the cache: what it was fetched as

# Keeps a package in its cache until it is closed; one of a package elsewhere holds nothing.
PackageHold: TypeAlias = EntryHold


@dataclass(frozen=True, slots=True)
class CachedPackage:
    """A package in a directory of this machine. It stays there until `hold` is closed: whoever keeps the package keeps
    the hold; whoever only looks at it, or loads it, which takes a hold of its own, does so in a `with` block."""

    path: Path
    hold: PackageHold = field(default_factory=EntryHold, repr=False, compare=False)

    def close(self) -> None:
        self.hold.close()

    def __enter__(self) -> CachedPackage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def hold(package: Path) -> PackageHold:
    """A hold on the package at a path, which may have been fetched by another process, if it lies in a cache."""
    entry = package.parent
    return hold_entry(entry) if (entry / ORIGIN).is_file() else EntryHold()
