"""What one download of a package may take: bytes, files and time."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from penstock.errors import PackageInvalid, RegistryUnavailable
from penstock.sizes import shown_size

# Unless a setting says otherwise.
MAX_PACKAGE_SIZE = 64 * 1024**3

# No package comes near; a listing without end should not fill the disk.
MAX_FILES = 10_000

# Seconds that a download has before its first byte, for each file, and the bytes a second that it must bring on
# average after that: what is slower is given up.
START_SECONDS = 30.0
FILE_SECONDS = 2.0
MIN_RATE = 32 * 1024

_NAME_BYTES = 255  # that file systems take
_SPARE_BYTES = 64 * 1024 * 1024  # that stay free on the disk


_wanted: ContextVar[Callable[[], bool]] = ContextVar("_wanted", default=lambda: True)


@contextmanager
def while_wanted(wanted: Callable[[], bool]) -> Iterator[None]:
    """Downloads that begin inside end early once they are not wanted any more: a slow one takes hours, in which no
    other version of the model could come."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


class Download:
    """One download, from `place`. Every byte and every file that came buys it time; used by one thread."""

    def __init__(
        self, place: str, max_bytes: int = MAX_PACKAGE_SIZE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = place
        self._max_bytes = max_bytes
        self._clock = clock
        self._wanted = _wanted.get()
        # The whole mutable state: bytes and files so far, and when its time is over.
        self._bytes = 0
        self._files = 0
        self._ends = clock() + START_SECONDS

    def expect(self, sizes: list[int], target: Path) -> None:
        """What a listing says is to come, before any of it is fetched. Raises PackageInvalid; OSError where the disk
        has no room for it."""
        if len(sizes) > MAX_FILES:
            raise PackageInvalid(f"The directory {self.place} has too many files for a package.")
        if (total := sum(sizes)) > self._max_bytes:
            raise self._too_large(total)
        if total + _SPARE_BYTES > shutil.disk_usage(target).free:
            raise OSError(28, f"{shown_size(total)} are to come, and the disk has no room for that")

    def came(self, count: int) -> None:
        """So many bytes have come. Raises PackageInvalid where they are too many, RegistryUnavailable where they took
        too long."""
        self._bytes += count
        self._ends += count / MIN_RATE
        if self._bytes > self._max_bytes:
            raise self._too_large(self._bytes)
        self.check_time()

    def file_came(self) -> None:
        """A file is complete. Raises PackageInvalid where there are too many."""
        self._files += 1
        self._ends += FILE_SECONDS
        if self._files > MAX_FILES:
            raise PackageInvalid(f"The directory {self.place} has too many files for a package.")

    def time_left(self) -> float:
        """Seconds; it may be over, and negative."""
        return self._ends - self._clock()

    def check_time(self) -> None:
        """Raises RegistryUnavailable where its time is over, or nobody wants it any more."""
        if not self._wanted():
            raise RegistryUnavailable(f"The download from {self.place} was stopped: it is no longer wanted.")
        if self.time_left() <= 0:
            raise RegistryUnavailable(
                f"The download from {self.place} is too slow: {self._bytes:,} bytes have come, "
                f"fewer than {shown_size(MIN_RATE)} a second."
            )

    def _too_large(self, size: int) -> PackageInvalid:
        return PackageInvalid(
            f"The package at {self.place} is larger than {shown_size(self._max_bytes)}: {size:,} bytes or more.",
            hint="Allow larger packages with the setting max_package_size.",
        )

    def __repr__(self) -> str:
        return f"<Download from {self.place}: {self._bytes:,} bytes, {self._files} files>"


def plain_file_name(name: str) -> bool:
    """Whether a name that somebody else lists is one step down, on any system, and can be shown."""
    return (
        name not in ("", ".", "..")
        and not set(name) & set("/\\")
        and name.isprintable()
        and len(os.fsencode(name)) <= _NAME_BYTES
    )
