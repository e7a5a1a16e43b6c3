"""Files in an object store, by fsspec: read, written, listed; the errors of all drivers translated, here alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
_CONNECT, _READ = 5, 20
_S3_PATIENCE = {"connect_timeout": _CONNECT, "read_timeout": _READ, "retries": {"max_attempts": 2}}
_S3_RETRIES = 2


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of store: what to install for it, where its client takes credentials from, what leads to another one."""

    install: str = ""
    credentials: str = ""
    endpoint: str = ""


_S3 = _Kind(
    "penstock[s3]",
    "for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role",
    "AWS_ENDPOINT_URL",
)
_GCS = _Kind(
    "penstock[gcs]",
    "for Google Cloud Storage the machine's or pod's service account, or GOOGLE_APPLICATION_CREDENTIALS",
    "STORAGE_EMULATOR_HOST",
)
_AZURE = _Kind("adlfs", "for Azure AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, or a managed identity")
_KINDS = {"s3": _S3, "s3a": _S3, "gs": _GCS, "gcs": _GCS, "az": _AZURE, "abfs": _AZURE, "abfss": _AZURE}

# What drivers raise where nobody told them who we are, by name: they are not imported for it.
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "DefaultCredentialsError"}
)
_DENIED = frozenset({401, 403, "401", "403"})

# What drivers call the mark that changes with a file's content, the best first.
_MARKS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "generation",
    "crc32c",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "created",
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the store lists it: bytes, and a mark that is another one once its content is; empty where the store
    gives none."""

    size: int
    mark: str


class RemoteFiles:
    """The files below a URL. Every method takes full URLs. Credentials are those of the driver's own client.

    What fails raises PackageNotFound for a file that is not there, RegistryNotFound for a bucket, RegistryDenied,
    RegistryUnavailable, DependencyMissing, Unsupported. Errors of this machine's own disk stay what they are.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._scheme = url.partition("://")[0].lower()
        self._kind = _KINDS.get(self._scheme, _Kind())

    def read(self, url: str, limit: int) -> bytes:
        """A small file. Raises PackageInvalid where it is larger than `limit` bytes."""
        content = bytearray()
        for piece in self._pieces(url):
            content += piece
            if len(content) > limit:
                raise PackageInvalid(f"{url} is larger than such a file can be.")
        return bytes(content)

    def files_below(self, url: str) -> dict[str, Listed]:
        """The files anywhere below a directory, by relative path."""
        with self._translated(url):
            base = str(self._driver._strip_protocol(url)).rstrip("/")
            found = self._driver.find(url, detail=True)
        return {
            str(path).removeprefix(base).lstrip("/"): Listed(int(info.get("size") or 0), _mark(info))
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
        files = self.files_below(url)
        if not files:
            raise PackageNotFound(f"There is no package at {url}: nothing is there.")
        if len(files) > _MOST_FILES:
            raise PackageInvalid(f"What lies at {url} has too many files for a package.")
        for name, listed in files.items():
            self.download(url, name, target)
            if (came := (target / name).stat().st_size) < listed.size:
                raise RegistryUnavailable(f"{url}/{name} was cut short: {came:,} of {listed.size:,} bytes came.")

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
        extra = "gcs" if self._kind is _GCS else "s3"
        fsspec = need("fsspec", extra, purpose=f"{self._scheme}: URLs")
        try:
            if self._kind is _GCS:
                return _google_driver()
            options = {"config_kwargs": _S3_PATIENCE} if self._kind is _S3 else {}
            driver = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)[0]
        except ImportError as error:
            package = self._kind.install
            raise DependencyMissing(
                f"{self._scheme}: URLs need a driver that is not installed.",
                hint=f"Install it with: pip install '{package}'" if package else clipped(str(error)),
            ) from None
        except ValueError as error:
            raise Unsupported(
                f"Packages cannot be at {self.url}: {clipped(str(error)).rstrip('.')}.",
                hint="Give a local directory, or a URL that fsspec knows, such as s3://bucket/prefix.",
            ) from None
        if self._kind is _S3:
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
                    hint=f"Make the bucket, or check the URL{self._endpoint_hint}.",
                ) from None
            raise PackageNotFound(f"The package is gone: there is nothing at {url}.") from None
        except Exception as error:
            raise self._refusal(url, error) from error

    def _refusal(self, url: str, error: Exception) -> PenstockError:
        said = clipped(str(error) or type(error).__name__).rstrip(".")
        if _is_denial(error):
            more = f"; {self._kind.credentials}" if self._kind.credentials else ""
            return RegistryDenied(
                f"Access to {url} is denied: {said}.", hint=f"Credentials are those of the store's own client{more}."
            )
        return RegistryUnavailable(f"{url} cannot be reached, or fails: {said}.")

    @property
    def _endpoint_hint(self) -> str:
        return f" and the store's endpoint ({self._kind.endpoint})" if self._kind.endpoint else ""

    def __repr__(self) -> str:
        return f"<RemoteFiles at {self.url}>"


def _google_driver() -> Any:
    """gcsfs' plain driver: the one that fsspec would take asks by gRPC first what kind of bucket it is, which takes one
    more permission. Raises ImportError."""
    from aiohttp import ClientTimeout
    from gcsfs.core import GCSFileSystem

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs what it raises, which is said here
    patience = ClientTimeout(sock_connect=_CONNECT, sock_read=_READ)
    return GCSFileSystem(requests_timeout=patience, use_listings_cache=False)


def _is_denial(error: Exception) -> bool:
    return (
        isinstance(error, PermissionError)
        or type(error).__name__ in _NO_CREDENTIALS
        or getattr(error, "code", None) in _DENIED
        or (isinstance(error, OSError) and str(error).startswith("Forbidden"))  # gcsfs
    )


def _mark(info: Mapping[str, Any]) -> str:
    return next((str(info[name]) for name in _MARKS if info.get(name)), "")
