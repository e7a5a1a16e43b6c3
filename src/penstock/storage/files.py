"""Where files lie: this machine's disks and, by URL, any object store that fsspec knows. One interface for both.

Written files appear whole: locally they are made beside the target, synced and renamed; an object is uploaded from a
file made here, and object stores show an upload only when it is complete.
"""

from __future__ import annotations

import glob
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from penstock.errors import ConfigError, ScoringError
from penstock.flavors.interface import need
from penstock.package.directory import fsync
from penstock.payload import clipped


def is_url(path: str) -> bool:
    return "://" in path


def join(directory: str, name: str) -> str:
    return f"{directory.rstrip('/')}/{name}"


class FileStore(ABC):
    """Reads, lists and writes. Paths are text, URLs among them. What fails raises ScoringError."""

    @abstractmethod
    def is_directory(self, path: str) -> bool: ...

    @abstractmethod
    def files(self, directory: str) -> list[str]:
        """The files anywhere below a directory, sorted; without those whose names begin with a dot or underscore."""

    @abstractmethod
    def matches(self, pattern: str) -> list[str]:
        """The files that a glob pattern names, sorted."""

    @abstractmethod
    def describe(self, path: str) -> tuple[int, str] | None:
        """Size in bytes, and a tag that changes when the file does; None where there is no such file."""

    @abstractmethod
    def open(self, path: str) -> BinaryIO: ...

    @abstractmethod
    def make_directory(self, path: str) -> None: ...

    @abstractmethod
    def remove(self, path: str) -> None:
        """Deletes a file; one that is not there is no error."""

    @abstractmethod
    def written(self, path: str) -> Any:
        """A context manager: a local path to write to, which becomes `path` if all goes well, else disappears."""

    @abstractmethod
    def append(self, path: str, line: bytes) -> None:
        """Adds one line to the end of a file, durably: after a crash it is there, or at most half of it."""

    def read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()


def file_store_of(path: str) -> FileStore:
    """Raises ConfigError for URLs of unknown schemes, DependencyMissing."""
    return RemoteFileStore(path) if is_url(path) and not path.startswith("file://") else LocalFiles()


class LocalFiles(FileStore):
    def is_directory(self, path: str) -> bool:
        return os.path.isdir(_bare(path))

    def files(self, directory: str) -> list[str]:
        found = []
        for root, directories, names in os.walk(_bare(directory)):
            directories[:] = [d for d in directories if not d.startswith((".", "_"))]
            found += [os.path.join(root, name) for name in names if not name.startswith((".", "_"))]
        return sorted(found)

    def matches(self, pattern: str) -> list[str]:
        return sorted(p for p in glob.glob(_bare(pattern), recursive=True) if os.path.isfile(p))

    def describe(self, path: str) -> tuple[int, str] | None:
        try:
            found = os.stat(_bare(path))
        except OSError:
            return None
        return found.st_size, str(found.st_mtime_ns)

    def open(self, path: str) -> BinaryIO:
        try:
            return open(_bare(path), "rb")
        except FileNotFoundError:
            raise ScoringError(f"There is no file {path}.") from None
        except OSError as error:
            raise ScoringError(f"{path} cannot be read: {error.strerror or error}.") from error

    def make_directory(self, path: str) -> None:
        try:
            os.makedirs(_bare(path), exist_ok=True)
        except OSError as error:
            raise ScoringError(f"The directory {path} cannot be made: {error.strerror}.") from error

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(_bare(path))

    @contextmanager
    def written(self, path: str) -> Iterator[Path]:
        target = Path(_bare(path))
        # The name is always the same: what a killed run left behind is written over by the next.
        beside = target.with_name(f".{target.name}.part")
        try:
            beside.touch()
        except OSError as error:
            raise ScoringError(f"Nothing can be written at {target.parent}: {error.strerror}.") from None
        try:
            yield beside
            fsync(beside)
            rename(beside, target)
            fsync(target.parent)
        except OSError as error:
            raise ScoringError(f"{path} cannot be written: {error.strerror or error}.") from error
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()

    def append(self, path: str, line: bytes) -> None:
        try:
            with open(_bare(path), "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ScoringError(f"{path} cannot be written: {error.strerror or error}.") from error


class RemoteFileStore(FileStore):
    """An object store, by fsspec. Credentials and endpoints come from where its driver looks: for S3 the AWS
    variables and files, AWS_ENDPOINT_URL among them."""

    def __init__(self, url: str) -> None:
        fsspec = need("fsspec", "s3", purpose=f"{url.partition(':')[0]}: URLs")
        try:
            self._files: Any = fsspec.core.url_to_fs(url)[0]
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url} cannot be opened: {clipped(str(error))}.", hint=_DRIVER_HINT) from None
        # Listings kept by fsspec would hide what other shards write.
        if hasattr(self._files, "use_listings_cache"):
            self._files.use_listings_cache = False

    def is_directory(self, path: str) -> bool:
        self._files.invalidate_cache()
        with _translated(path):
            return path.endswith("/") or bool(self._files.isdir(path))

    def files(self, directory: str) -> list[str]:
        self._files.invalidate_cache()
        with _translated(directory):
            found = self._files.find(directory)
        base = self._files._strip_protocol(directory).rstrip("/")
        seen = [p for p in found if not any(w.startswith((".", "_")) for w in p.removeprefix(base).split("/"))]
        return sorted(self._files.unstrip_protocol(p) for p in seen)

    def matches(self, pattern: str) -> list[str]:
        with _translated(pattern):
            return sorted(self._files.unstrip_protocol(p) for p in self._files.glob(pattern))

    def describe(self, path: str) -> tuple[int, str] | None:
        self._files.invalidate_cache()
        try:
            with _translated(path):
                found = self._files.info(path)
        except FileNotFoundError:
            return None
        if found.get("type") == "directory":
            return None
        tag = found.get("ETag") or found.get("etag") or found.get("mtime") or found.get("LastModified") or ""
        return int(found["size"]), str(tag).strip('"')

    def open(self, path: str) -> BinaryIO:
        try:
            with _translated(path):
                return self._files.open(path, "rb", cache_type="readahead", block_size=8 << 20)  # type: ignore[no-any-return]
        except FileNotFoundError:
            raise ScoringError(f"There is no object {path}.") from None

    def make_directory(self, path: str) -> None:
        """Object stores have none: a prefix is there with its first object."""

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError), _translated(path):
            self._files.rm_file(path)

    @contextmanager
    def written(self, path: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="penstock-") as directory:
            made = Path(directory) / "made"
            yield made
            upload(self, made, path)

    def append(self, path: str, line: bytes) -> None:
        """The object again with one line more: an upload is seen whole or not at all."""
        before = self.read(path) if self.describe(path) is not None else b""
        with _translated(path):
            self._files.pipe_file(path, before + line)


_DRIVER_HINT = "For s3:// install penstock[s3], for gs:// penstock[gcs]; other stores need their own fsspec driver."


def rename(source: Path, target: Path) -> None:
    """One of the two steps by which an output appears; a function of its own so that tests can stop there."""
    source.chmod(0o644)
    source.replace(target)


def upload(place: RemoteFileStore, source: Path, target: str) -> None:
    """The other one."""
    with _translated(target):
        place._files.put_file(str(source), target)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Drivers raise what they like; a missing file stays a FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ScoringError(f"{path}: the store answered {type(error).__name__}: {clipped(str(error))}.") from error


def _bare(path: str) -> str:
    return path.removeprefix("file://")
