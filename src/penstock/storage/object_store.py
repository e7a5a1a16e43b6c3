"""Object stores by fsspec: the one place that opens drivers, sets their timeouts, and translates their errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from penstock.errors import DependencyMissing, PenstockError
from penstock.payload import clipped

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CHUNK = 8 * 1024 * 1024

# Seconds to wait for a connection and for the next bytes, and how often to try again: a store that hangs is given up.
CONNECT_TIMEOUT, READ_TIMEOUT = 5, 20
_S3_CONFIG = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, "retries": {"max_attempts": 2}}
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

# What drivers raise where they find no credentials, by name: they are not imported for it.
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


# And the time at which a file was written.
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the store lists it: bytes, and a mark that is another one once its content is; empty where the store
    gives none."""

    size: int
    mark: str


@dataclass(frozen=True, slots=True)
class StoreErrors:
    """What the users of a store call its failures: a URL that no driver takes, access denied, no such bucket, and a
    store that cannot be reached or fails."""

    unknown: type[PenstockError]
    denied: type[PenstockError]
    no_bucket: type[PenstockError]
    unavailable: type[PenstockError]


class ObjectStore:
    """The files below a URL. Every method takes full URLs. Credentials are those of the driver's own client.

    What fails raises one of `errors`, or DependencyMissing where the driver is not installed. A file that is not there
    raises FileNotFoundError. Errors of this machine's own disk stay what they are.
    """

    def __init__(self, url: str, errors: StoreErrors) -> None:
        self.url = url.rstrip("/")
        self._errors = errors
        self._scheme = url.partition("://")[0].lower()
        self._kind = _KINDS.get(self._scheme, _Kind())

    def is_directory(self, url: str) -> bool:
        with self._fresh(url) as driver:
            return bool(driver.isdir(url))

    def files_below(self, url: str) -> dict[str, Listed]:
        """The files anywhere below a directory, by relative path."""
        with self._fresh(url) as driver:
            base = str(driver._strip_protocol(url)).rstrip("/")
            found = driver.find(url, detail=True)
        return {
            str(path).removeprefix(base).lstrip("/"): _listed(info)
            for path, info in found.items()
            if not str(path).endswith("/")
        }

    def written_at(self, url: str) -> float | None:
        """When the newest file below a directory was written, in seconds since 1970; None where a driver does not
        say."""
        with self._fresh(url) as driver:
            found = driver.find(url, detail=True).values()
        times = [_written(info) for info in found]
        known = [at for at in times if at is not None]
        return max(known) if known and len(known) == len(times) else None

    def matches(self, pattern: str) -> list[str]:
        """The URLs that a glob pattern names."""
        with self._fresh(pattern) as driver:
            return [str(driver.unstrip_protocol(path)) for path in driver.glob(pattern)]

    def describe(self, url: str) -> Listed | None:
        """None for a directory."""
        with self._fresh(url) as driver:
            info = driver.info(url)
        return None if info.get("type") == "directory" else _listed(info)

    def open(self, url: str, *, ahead: bool = True) -> BinaryIO:
        """For reading; it can seek. Without reading `ahead` each read asks the store for just so many bytes, and none
        are held. What fails later is raised as the driver raises it."""
        with self.translated(url):
            kind = "readahead" if ahead else "none"
            return cast(BinaryIO, self.driver.open(url, "rb", block_size=CHUNK, cache_type=kind))

    def open_new(self, url: str) -> BinaryIO:
        """For writing; the file appears whole when it is closed."""
        return cast(BinaryIO, self.driver.open(url, "wb", block_size=CHUNK))

    def put(self, source: Path, url: str) -> None:
        """Copies a file of this machine; it appears whole."""
        with self.translated(url, writing=True):
            self.driver.put_file(str(source), url)

    def write(self, content: bytes, url: str) -> None:
        """A small file, which appears whole."""
        with self.translated(url, writing=True):
            self.driver.pipe_file(url, content)

    def require_bucket(self) -> None:
        """Raises what a missing bucket is called, where there is none."""
        bucket = "/".join(self.url.split("/")[:3])
        with self._fresh(self.url) as driver:
            there = driver.exists(bucket)
        if not there:
            raise self._errors.no_bucket(
                f"{bucket} does not exist.", hint=f"Create the bucket, or check the URL{self._endpoint_hint}."
            )

    def entries(self, url: str) -> dict[str, int | None]:
        """What is directly in a directory: sizes by name, None for directories. Raises FileNotFoundError."""
        with self._fresh(url) as driver:
            base = str(driver._strip_protocol(url)).rstrip("/")
            found = driver.ls(url, detail=True)
        named = {str(info["name"]).rstrip("/").removeprefix(base).lstrip("/"): info for info in found}
        return {
            name: None if info.get("type") == "directory" else int(info.get("size") or 0)
            for name, info in named.items()
            if name and "/" not in name
        }

    def remove_directory(self, url: str) -> None:
        """Deletes whatever is below it."""
        with self.translated(url, writing=True), suppress(FileNotFoundError):
            found = self.driver.find(url)
            if not any(map(has_magic, (url, *found))):
                self.driver.rm(url, recursive=True)
                return
            for path in found:  # as a pattern, a name would delete others, too
                self.driver.rm_file(path)

    def remove(self, url: str) -> None:
        """Deletes a file; one that is not there is no error."""
        with self.translated(url, writing=True), suppress(FileNotFoundError):
            self.driver.rm_file(url)

    @cached_property
    def driver(self) -> AbstractFileSystem:
        """Opened on first use, which connects to nothing."""
        try:
            if self._kind is _GCS:
                return _google_driver()
            import fsspec

            options = {"config_kwargs": _S3_CONFIG} if self._kind is _S3 else {}
            driver = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)[0]
        except ImportError as error:
            package = self._kind.install or ("fsspec" if error.name == "fsspec" else "")
            raise DependencyMissing(
                f"{self._scheme}: URLs need a storage driver that is not installed.",
                hint=f"Install it with: pip install '{package}'" if package else clipped(str(error)),
            ) from None
        except ValueError as error:
            raise self._errors.unknown(
                f"{self.url} cannot be opened: {clipped(str(error)).rstrip('.')}.",
                hint="Give a local path, or a URL that fsspec knows, such as s3://bucket/prefix.",
            ) from None
        if self._kind is _S3:
            driver.retries = _S3_RETRIES
        return driver

    @contextmanager
    def translated(self, url: str, *, writing: bool = False) -> Iterator[None]:
        """Around whatever a driver does: `errors` instead of its own."""
        try:
            yield
        except PenstockError:
            raise
        except FileNotFoundError as error:
            if writing or "bucket does not exist" in str(error).lower():
                reason = clipped(str(error) or "the place is empty or does not exist").rstrip(".")
                raise self._errors.no_bucket(
                    f"{self.url} does not exist: {reason}.",
                    hint=f"Create the bucket, or check the URL{self._endpoint_hint}.",
                ) from None
            raise
        except Exception as error:
            raise self._refusal(url, error) from error

    @contextmanager
    def _fresh(self, url: str) -> Iterator[AbstractFileSystem]:
        """The driver without listings that it may have kept: they would hide what other processes write."""
        with self.translated(url):
            self.driver.invalidate_cache()
            yield self.driver

    def _refusal(self, url: str, error: Exception) -> PenstockError:
        reason = clipped(str(error) or type(error).__name__).rstrip(".")
        if _is_denial(error):
            more = f"; {self._kind.credentials}" if self._kind.credentials else ""
            return self._errors.denied(
                f"Access to {url} is denied: {reason}.",
                hint=f"Penstock uses the credentials of the store's own client{more}.",
            )
        return self._errors.unavailable(f"{url} cannot be reached or failed: {reason}.")

    @property
    def _endpoint_hint(self) -> str:
        return f" and the store's endpoint ({self._kind.endpoint})" if self._kind.endpoint else ""

    def __repr__(self) -> str:
        return f"<ObjectStore at {self.url}>"


def _google_driver() -> AbstractFileSystem:
    """gcsfs' plain driver: the one that fsspec would take asks by gRPC first what kind of bucket it is, which takes one
    more permission. Raises ImportError."""
    from aiohttp import ClientTimeout
    from gcsfs.core import GCSFileSystem

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs what it raises, which is reported here
    timeout = ClientTimeout(sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
    return GCSFileSystem(requests_timeout=timeout, use_listings_cache=False)


def _is_denial(error: Exception) -> bool:
    return (
        isinstance(error, PermissionError)
        or type(error).__name__ in _NO_CREDENTIALS
        or getattr(error, "code", None) in _DENIED
        or (isinstance(error, OSError) and str(error).startswith("Forbidden"))  # gcsfs
    )


def _written(info: Mapping[str, Any]) -> float | None:
    at = next((info[name] for name in _TIMES if info.get(name)), None)
    if isinstance(at, str):
        with suppress(ValueError):
            at = datetime.fromisoformat(at)
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return float(at) if isinstance(at, int | float) else None


def _listed(info: Mapping[str, Any]) -> Listed:
    mark = next((str(info[name]) for name in _MARKS if info.get(name)), "")
    return Listed(int(info.get("size") or 0), mark)
