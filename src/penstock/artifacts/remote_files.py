"""The files of packages in an object store: read, copied with their hashes, uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from penstock.errors import (
    PackageInvalid,
    PackageNotFound,
    RegistryDenied,
    RegistryNotFound,
    RegistryUnavailable,
    Unsupported,
)
from penstock.payload import shortened
from penstock.storage.download import MIN_RATE, Download, plain_file_name
from penstock.storage.object_store import CHUNK, Listed, ObjectStore, StoreErrors
from penstock.storage.patience import call_within
from penstock.storage.schemes import require_store

# How long a store may take to list a place, and to begin with a file, in seconds.
_LIST_SECONDS = 60.0
_OPEN_SECONDS = 30.0

_ERRORS = StoreErrors(Unsupported, RegistryDenied, RegistryNotFound, RegistryUnavailable)


T = TypeVar("T")


class RemoteFiles:
    """The files below a URL. Every method takes full URLs.

    What fails raises PackageNotFound for a file that is not there, RegistryNotFound for a bucket, RegistryDenied,
    RegistryUnavailable, DependencyMissing, Unsupported. Errors of this machine's own disk stay what they are.
    """

    def __init__(self, url: str) -> None:
        require_store(url)
        self._store = ObjectStore(url, _ERRORS)

    def read(self, url: str, limit: int) -> bytes:
        """A small file. Raises PackageInvalid where it is larger than `limit` bytes."""
        content = bytearray()
        for piece in self._pieces(url, Download(url)):
            content += piece
            if len(content) > limit:
                raise PackageInvalid(f"{url} is larger than any such file may be.")
        return bytes(content)

    def files_below(self, url: str) -> dict[str, Listed]:
        """The files anywhere below a directory, by relative path."""
        with _present(url):
            return self._patiently(url, _LIST_SECONDS, lambda: self._store.files_below(url))

    def download(self, url: str, name: str, target: Path, download: Download) -> str:
        """Copies the file of this name into a directory, below which it must lie, and returns its SHA-256."""
        parts = name.split("/")
        if not all(map(plain_file_name, parts)):
            raise PackageInvalid(f"{url} has a file with an invalid name: {shortened(name)}.")
        path = target.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        with path.open("xb") as file:
            for piece in self._pieces(f"{url}/{name}", download):
                hashed.update(piece)
                file.write(piece)
        download.file_came()
        return hashed.hexdigest()

    def copy(self, url: str, target: Path, download: Download) -> None:
        """Copies a directory into an empty one."""
        files = self.files_below(url)
        if not files:
            raise PackageNotFound(f"There is no package at {url}: the place is empty or does not exist.")
        download.expect([listed.size for listed in files.values()], target)
        for name, listed in files.items():
            self.download(url, name, target, download)
            if (came := (target / name).stat().st_size) < listed.size:
                raise RegistryUnavailable(f"{url}/{name} was truncated: {came:,} of {listed.size:,} bytes arrived.")

    def upload(self, source: Path, url: str) -> str:
        """Returns the SHA-256 of what was sent."""
        hashed = hashlib.sha256()
        with (
            self._store.translated(url, writing=True),
            source.open("rb") as file,
            self._store.open_new(url) as sink,
        ):
            while piece := file.read(CHUNK):
                hashed.update(piece)
                sink.write(piece)
        return hashed.hexdigest()

    def write(self, content: bytes, url: str) -> None:
        """A small file, which appears whole."""
        self._store.write(content, url)

    def remove(self, url: str) -> None:
        """Deletes a file; one that is not there is no error."""
        self._store.remove(url)

    def _pieces(self, url: str, download: Download) -> Iterator[bytes]:
        with _present(url):
            source = self._patiently(url, _OPEN_SECONDS, lambda: self._store.open(url))
        try:
            while True:
                # A driver fetches a piece whole or not at all, so that each has the time of the slowest there may be.
                seconds = max(download.time_left(), 0.0) + CHUNK / MIN_RATE
                with _present(url), self._store.translated(url):
                    piece = self._patiently(url, seconds, lambda: source.read(CHUNK))
                if not piece:
                    return
                download.came(len(piece))
                yield piece
        finally:
            source.close()

    @staticmethod
    def _patiently(url: str, seconds: float, call: Callable[[], T]) -> T:
        """What a call gives in the time that it has: drivers wait for the next byte, however often that comes."""
        try:
            return call_within(seconds, call)
        except FutureTimeout:
            raise RegistryUnavailable(f"{url} does not answer within {seconds:.0f} s.") from None

    def __repr__(self) -> str:
        return f"<RemoteFiles at {self._store.url}>"


@contextmanager
def _present(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise PackageNotFound(f"The package no longer exists at {url}.") from None
