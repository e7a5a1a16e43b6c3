"""Files that a server hands out itself, `mlflow-artifacts:`, as a tree to read from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast
from urllib.parse import quote

from penstock.artifacts.trees import ArtifactTree, OpenedFile, TreeEntry, missing
from penstock.errors import RegistryReadOnly, RegistryRefused, RegistryUnavailable
from penstock.mlflow_api.client import MlflowRestClient
from penstock.storage.download import Download

_LARGEST = 2**63
_DEEPEST = 64


class ServedFiles(ArtifactTree):
    """Read only."""

    def __init__(self, client: MlflowRestClient) -> None:
        self._client = client
        # Mutable state: files of which no size was told that is one. What is told of them is not believed.
        self._without_size: set[str] = set()

    def __repr__(self) -> str:
        return f"<ServedFiles of {self._client.place}>"

    def entries(self, path: str) -> list[TreeEntry]:
        if path.count("/") > _DEEPEST:
            raise RegistryUnavailable(f"{self._client.place} has folders in folders without end below {path[:80]}.")
        found = []
        for each in self._client.list_artifacts(self._url(path)):
            name = str(each.get("path", "")).rpartition("/")[2]
            if not name or name in (".", ".."):
                continue
            size = _size(each.get("file_size"))
            if size is None and not each.get("is_dir"):
                self._without_size.add(f"{path}/{name}")
            found.append(TreeEntry(name, None if each.get("is_dir") else size or 0))
        return sorted(found, key=lambda entry: entry.name)

    def open(self, path: str) -> OpenedFile:
        if path in self._without_size:
            raise RegistryUnavailable(f"{self._client.place} tells no size of {path} that is one.")
        url = self._url(path)
        pieces = self._client.read_artifact(url, Download(url).time_left)
        try:
            first = next(pieces, b"")
        except RegistryRefused as error:
            if error.status == 404:
                raise missing(path) from None
            raise
        return OpenedFile(cast(BinaryIO, io.BufferedReader(_Pieces(first, pieces))), -1)

    @contextmanager
    def new(self, path: str) -> Iterator[BinaryIO]:
        raise self._read_only()
        yield  # type: ignore[unreachable]  # which makes it a generator

    def remove(self, path: str) -> None:
        raise self._read_only()

    def written_at(self, path: str) -> float | None:
        return None

    def _url(self, path: str) -> str:
        return self._client.artifact_url(f"mlflow-artifacts:/{quote(path)}")

    def _read_only(self) -> RegistryReadOnly:
        return RegistryReadOnly(f"An import changes nothing on {self._client.place}.")


def _size(told: object) -> int | None:
    """MLflow tells whole numbers, or texts of them."""
    if told is None:
        return 0
    try:
        size = int(told) if isinstance(told, str | int) else -1
    except ValueError:
        return None
    return size if 0 <= size < _LARGEST else None


class _Pieces(io.RawIOBase):
    """What comes in pieces, read as a file."""

    def __init__(self, first: bytes, pieces: Iterator[bytes]) -> None:
        self._rest = first
        self._pieces = pieces

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
