"""Artifacts in an object store: `s3://…`, `gs://…` and what else fsspec has a driver for. Connects on first use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

from penstock.artifacts.trees import ArtifactTree, OpenedFile, TreeEntry, missing, no_file
from penstock.errors import RegistryDenied, RegistryNotFound, RegistryUnavailable, TrackingInvalid, Unsupported
from penstock.storage.object_store import ObjectStore, StoreErrors
from penstock.storage.schemes import require_store

# How drivers name versions of an object behind its own name.
_VERSIONED = re.compile(r"\?versionId=|#\d+(?:/|$)", re.IGNORECASE)

_ERRORS = StoreErrors(Unsupported, RegistryDenied, RegistryNotFound, RegistryUnavailable)


class ObjectTree(ArtifactTree):
    """A prefix in an object store, by the credentials of its client."""

    def __init__(self, url: str) -> None:
        require_store(url)
        self._url = url.rstrip("/")
        self._store = ObjectStore(url, _ERRORS)
        # The whole mutable state: whether the bucket has been seen.
        self._is_there = False

    def __repr__(self) -> str:
        return f"<ObjectTree {self._url}>"

    def entries(self, path: str) -> list[TreeEntry]:
        try:
            found = self._store.entries(self._at(path))
        except NotADirectoryError:
            return []
        except FileNotFoundError:
            self._check_bucket()
            return []
        self._is_there = True
        name = path.rpartition("/")[2]
        if list(found) == [name] and found[name] is not None and self._is_file(path):  # some drivers list a file
            return []
        return sorted(TreeEntry(*entry) for entry in found.items())

    def open(self, path: str) -> OpenedFile:
        url = self._at(path)
        try:
            known = self._store.describe(url)
            if known is None:
                raise no_file(path)
            file = _StoredFile(self._store.open(url, ahead=False), self._store, url)
        except FileNotFoundError:
            self._check_bucket()
            raise missing(path) from None
        self._is_there = True
        return OpenedFile(cast(BinaryIO, file), known.size, known.mark)

    @contextmanager
    def new(self, path: str) -> Iterator[BinaryIO]:
        url = self._at(path)
        with self._store.translated(url, writing=True):
            file = self._store.open_new(url)
            try:
                yield file
            except BaseException:
                _discard(file)
                raise
            try:
                file.close()
            except BaseException:
                _discard(file)
                raise

    def remove(self, path: str) -> None:
        url = self._at(path)
        try:
            known = self._store.describe(url)
        except FileNotFoundError:
            self._check_bucket()
            raise missing(path) from None
        if known is None:
            self._store.remove_directory(url)
        else:
            self._store.remove(url)

    def written_at(self, path: str) -> float | None:
        return self._store.written_at(self._at(path))

    def _at(self, path: str) -> str:
        """Raises TrackingInvalid for a name in which a driver would read more than a name, or the directory above."""
        if ".." in path.split("/"):
            raise TrackingInvalid(f"Invalid path: {path[:200]!a}.", field="path")
        if _VERSIONED.search(path):
            raise TrackingInvalid(f"Invalid path: {path[:200]!a} names a version of an object.", field="path")
        return f"{self._url}/{path}" if path else self._url

    def _is_file(self, path: str) -> bool:
        try:
            return self._store.describe(self._at(path)) is not None
        except FileNotFoundError:
            return False

    def _check_bucket(self) -> None:
        """Nothing there may mean that the bucket is not there, which most drivers do not tell. Asked until it was seen
        once. Raises RegistryNotFound."""
        if not self._is_there:
            self._store.require_bucket()
            self._is_there = True


class _StoredFile:
    """A file to read, whose failures are told in our words."""

    def __init__(self, file: BinaryIO, store: ObjectStore, url: str) -> None:
        self._file = file
        self._store = store
        self._url = url

    def read(self, size: int = -1) -> bytes:
        with self._store.translated(self._url):
            return self._file.read(size)

    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> _StoredFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _discard(file: BinaryIO) -> None:
    """Gives up an upload: closing it would make what came so far a file."""
    discard = getattr(file, "discard", None)
    with suppress(Exception):
        if discard is not None:
            discard()
    file.closed = True  # type: ignore[misc]  # fsspec's own flag: nothing is flushed when it is collected
