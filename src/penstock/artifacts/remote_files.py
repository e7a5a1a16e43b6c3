"""Files in an object store, by fsspec: read, written, listed; the errors of all drivers translated, here alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from penstock.errors import (
    DependencyMissing,
    PackageInvalid,
    PackageNotFound,
    PenstockError,
    RegistryDenied,
    RegistryNotFound,
    RegistryUnavailable,
    Unsupported,
)
from penstock.flavors.interface import need
from penstock.payload import clipped

_CHUNK = 8 * 1024 * 1024

# No package comes near; a listing without end should not fill the disk.
_MOST_FILES = 10_000

# Seconds to wait for a connection and for the next bytes, and how often to try again: a store that hangs is given up.
_S3_PATIENCE = {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 2}}
_S3_RETRIES = 2

_S3 = "penstock[s3]"
_DRIVERS = {"s3": _S3, "s3a": _S3, "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs"}

# What drivers raise where nobody told them who we are, by name: they are not imported for it.
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})


class RemoteFiles:
    """The files below a URL. Every method takes full URLs. Credentials are those of the driver's own client.

    What fails raises PackageNotFound for a file that is not there, RegistryNotFound for a bucket, RegistryDenied,
    RegistryUnavailable, DependencyMissing, Unsupported. Errors of this machine's own disk stay what they are.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._scheme = url.partition("://")[0].lower()

    def read(self, url: str, limit: int) -> bytes:
        """A small file. Raises PackageInvalid where it is larger than `limit` bytes."""
        content = bytearray()
        for piece in self._pieces(url):
            content += piece
            if len(content) > limit:
                raise PackageInvalid(f"{url} is larger than such a file can be.")
        return bytes(content)

    def sizes(self, url: str) -> dict[str, int]:
        """The files anywhere below a directory: relative path to size in bytes."""
        with self._translated(url):
            base = str(self._driver._strip_protocol(url)).rstrip("/")
            found = self._driver.find(url, detail=True)
        return {
            str(path).removeprefix(base).lstrip("/"): int(info.get("size") or 0)
            for path, info in found.items()
            if not str(path).endswith("/")
        }

    def download(self, url: str, name: str, target: Path) -> str:
        """Copies the file of this name into a directory, below which it must lie, and returns its SHA-256."""
        parts = name.split("/")
        if {"", ".", ".."} & set(parts) or "\\" in name or "\x00" in name:
            raise PackageInvalid(f"{url} holds a name that cannot be used: {name!r}.")
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
        names = self.sizes(url)
        if not names:
            raise PackageNotFound(f"There is no package at {url}: nothing is there.")
        if len(names) > _MOST_FILES:
            raise PackageInvalid(f"What lies at {url} has too many files for a package.")
        for name in names:
            self.download(url, name, target)

    def upload(self, source: Path, url: str) -> str:
        """Returns the SHA-256 of what was sent."""
        hashed = hashlib.sha256()
        with (
            self._translated(url, writing=True),
            source.open("rb") as file,
            self._driver.open(url, "wb", block_size=_CHUNK) as sink,
        ):
            while piece := file.read(_CHUNK):
                hashed.update(piece)
                sink.write(piece)
        return hashed.hexdigest()

    def write(self, content: bytes, url: str) -> None:
        """A small file, which appears whole."""
        with self._translated(url, writing=True):
            self._driver.pipe_file(url, content)

    def remove(self, url: str) -> None:
        """Deletes a file; one that is not there is no error."""
        with self._translated(url, writing=True), suppress(FileNotFoundError):
            self._driver.rm_file(url)

    def _pieces(self, url: str) -> Iterator[bytes]:
        with self._translated(url):
            source = self._driver.open(url, "rb", block_size=_CHUNK, cache_type="readahead")
        try:
            while True:
                with self._translated(url):
                    piece: bytes = source.read(_CHUNK)
                if not piece:
                    return
                yield piece
        finally:
            source.close()

    @cached_property
    def _driver(self) -> Any:
        fsspec = need("fsspec", "s3", purpose=f"{self._scheme}: URLs")
        options = {"config_kwargs": _S3_PATIENCE} if self._scheme in ("s3", "s3a") else {}
        try:
            driver = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)[0]
        except ImportError as error:
            package = _DRIVERS.get(self._scheme)
            raise DependencyMissing(
                f"{self._scheme}: URLs need a driver that is not installed.",
                hint=f"Install it with: pip install '{package}'" if package else clipped(str(error)),
            ) from None
        except ValueError as error:
            raise Unsupported(
                f"Packages cannot be at {self.url}: {clipped(str(error)).rstrip('.')}.",
                hint="Give a local directory, or a URL that fsspec knows, such as s3://bucket/prefix.",
            ) from None
        if options:
            driver.retries = _S3_RETRIES
        return driver

    @contextmanager
    def _translated(self, url: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except PenstockError:
            raise
        except FileNotFoundError as error:
            if writing or "bucket does not exist" in str(error).lower():
                raise RegistryNotFound(
                    f"There is no such place as {self.url}: {clipped(str(error) or 'nothing is there').rstrip('.')}.",
                    hint="Make the bucket, or check --artifacts and the store's endpoint (AWS_ENDPOINT_URL).",
                ) from None
            raise PackageNotFound(f"The package is gone: there is nothing at {url}.") from None
        except Exception as error:
            raise self._refusal(url, error) from error

    def _refusal(self, url: str, error: Exception) -> PenstockError:
        said = clipped(str(error) or type(error).__name__).rstrip(".")
        if isinstance(error, PermissionError) or type(error).__name__ in _NO_CREDENTIALS:
            return RegistryDenied(
                f"Access to {url} is denied: {said}.",
                hint="Credentials are those of the store's own client; for S3 AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, a profile, or the machine's role.",
            )
        return RegistryUnavailable(f"{url} cannot be reached, or fails: {said}.")

    def __repr__(self) -> str:
        return f"<RemoteFiles at {self.url}>"
