"""The files of packages in an object store: read, copied with their hashes, uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import (
    PackageInvalid,
    PackageNotFound,
    RegistryDenied,
    RegistryNotFound,
    RegistryUnavailable,
    Unsupported,
)
from penstock.storage.object_store import CHUNK, Listed, ObjectStore, StoreErrors

# No package comes near; a listing without end should not fill the disk.
MAX_FILES = 10_000

_ERRORS = StoreErrors(Unsupported, RegistryDenied, RegistryNotFound, RegistryUnavailable)


class RemoteFiles:
    """The files below a URL. Every method takes full URLs.

    What fails raises PackageNotFound for a file that is not there, RegistryNotFound for a bucket, RegistryDenied,
    RegistryUnavailable, DependencyMissing, Unsupported. Errors of this machine's own disk stay what they are.
    """

    def __init__(self, url: str) -> None:
        self._store = ObjectStore(url, _ERRORS)

    def read(self, url: str, limit: int) -> bytes:
        """A small file. Raises PackageInvalid where it is larger than `limit` bytes."""
        content = bytearray()
        for piece in self._pieces(url):
            content += piece
            if len(content) > limit:
                raise PackageInvalid(f"{url} is larger than any such file may be.")
        return bytes(content)

    def files_below(self, url: str) -> dict[str, Listed]:
        """The files anywhere below a directory, by relative path."""
        with _present(url):
            return self._store.files_below(url)

    def download(self, url: str, name: str, target: Path) -> str:
        """Copies the file of this name into a directory, below which it must lie, and returns its SHA-256."""
        parts = name.split("/")
        if {"", ".", ".."} & set(parts) or "\\" in name or "\x00" in name:
            raise PackageInvalid(f"{url} has a file with an invalid name: {name!r}.")
        path = target.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        with path.open("xb") as file:
            for piece in self._pieces(f"{url}/{name}"):
                hashed.update(piece)
                file.write(piece)
        return hashed.hexdigest()

    def copy(self, url: str, target: Path) -> None:
        """Copies a directory into an empty one."""
        files = self.files_below(url)
        if not files:
            raise PackageNotFound(f"There is no package at {url}: the place is empty or does not exist.")
        if len(files) > MAX_FILES:
            raise PackageInvalid(f"The directory {url} has too many files for a package.")
        for name, listed in files.items():
            self.download(url, name, target)
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

    def _pieces(self, url: str) -> Iterator[bytes]:
        with _present(url):
            source = self._store.open(url)
        try:
            while True:
                with _present(url), self._store.translated(url):
                    piece = source.read(CHUNK)
                if not piece:
                    return
                yield piece
        finally:
            source.close()

    def __repr__(self) -> str:
        return f"<RemoteFiles at {self._store.url}>"


@contextmanager
def _present(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise PackageNotFound(f"The package no longer exists at {url}.") from None
