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
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from penstock.errors import ConfigError, ScoringError
from penstock.storage import atomic
from penstock.storage.object_store import ObjectStore, StoreErrors

_ERRORS = StoreErrors(ConfigError, ScoringError, ScoringError, ScoringError)


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
    def written(self, path: str) -> AbstractContextManager[Path]:
        """A local path to write to, which becomes `path` if all goes well, else disappears."""

    @abstractmethod
    def append(self, path: str, line: bytes) -> None:
        """Adds one line to the end of a file, durably: after a crash it is there, or at most half of it."""

    def read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()


def file_store_of(path: str) -> FileStore:
    """Raises ConfigError for URLs of unknown schemes, DependencyMissing."""
    return ObjectFileStore(path) if is_url(path) and not path.startswith("file://") else LocalFileStore()


class LocalFileStore(FileStore):
    def is_directory(self, path: str) -> bool:
        return os.path.isdir(_bare(path))

    def files(self, directory: str) -> list[str]:
        found = []
        for root, directories, names in os.walk(_bare(directory)):
            directories[:] = [d for d in directories if not _is_hidden(d)]
            found += [os.path.join(root, name) for name in names if not _is_hidden(name)]
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
            raise ScoringError(f"The directory {path} cannot be created: {error.strerror}.") from error

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(_bare(path))

    @contextmanager
    def written(self, path: str) -> Iterator[Path]:
        target = Path(_bare(path))
        with ExitStack() as making:
            try:
                beside = making.enter_context(atomic.new_file(target))
            except OSError as error:
                raise ScoringError(f"Nothing can be written at {target.parent}: {error.strerror}.") from None
            try:
                yield beside
                making.close()
            except OSError as error:
                raise ScoringError(f"{path} cannot be written: {error.strerror or error}.") from error

    def append(self, path: str, line: bytes) -> None:
        try:
            atomic.append_line(Path(_bare(path)), line)
        except OSError as error:
            raise ScoringError(f"{path} cannot be written: {error.strerror or error}.") from error


class ObjectFileStore(FileStore):
    """An object store. Credentials and endpoints come from where its driver looks: for S3 the AWS variables and files,
    AWS_ENDPOINT_URL among them."""

    def __init__(self, url: str) -> None:
        self._store = ObjectStore(url, _ERRORS)
        _ = self._store.driver  # opened now, so that a URL of an unknown scheme fails before the job begins

    def is_directory(self, path: str) -> bool:
        return path.endswith("/") or self._store.is_directory(path)

    def files(self, directory: str) -> list[str]:
        try:
            names = self._store.files_below(directory)
        except FileNotFoundError:  # some drivers raise it for an empty place
            return []
        return sorted(join(directory, name) for name in names if not any(map(_is_hidden, name.split("/"))))

    def matches(self, pattern: str) -> list[str]:
        return sorted(self._store.matches(pattern))

    def describe(self, path: str) -> tuple[int, str] | None:
        try:
            found = self._store.describe(path)
        except FileNotFoundError:
            return None
        return None if found is None else (found.size, found.mark.strip('"'))

    def open(self, path: str) -> BinaryIO:
        try:
            return self._store.open(path)
        except FileNotFoundError:
            raise ScoringError(f"There is no object {path}.") from None

    def make_directory(self, path: str) -> None:
        """Object stores have none: a prefix is there with its first object."""

    def remove(self, path: str) -> None:
        self._store.remove(path)

    @contextmanager
    def written(self, path: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="penstock-") as directory:
            made = Path(directory) / "made"
            yield made
            self._store.put(made, path)

    def append(self, path: str, line: bytes) -> None:
        """The object again with one line more: an upload is seen whole or not at all."""
        before = self.read(path) if self.describe(path) is not None else b""
        self._store.write(before + line, path)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _bare(path: str) -> str:
    return path.removeprefix("file://")
