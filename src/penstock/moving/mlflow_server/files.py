"""Files that a server hands out itself, `mlflow-artifacts:`, as a tree to read from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast
from urllib.parse import quote

from penstock.artifacts.trees import ArtifactTree, OpenedFile, TreeEntry, missing
from penstock.errors import RegistryReadOnly, RegistryRefused
from penstock.mlflow_api.client import MlflowRestClient
from penstock.storage.download import Download


class ServedFiles(ArtifactTree):
    """Read only."""

    def __init__(self, client: MlflowRestClient) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<ServedFiles of {self._client.place}>"

    def entries(self, path: str) -> list[TreeEntry]:
        found = []
        for each in self._client.list_artifacts(self._url(path)):
            name = str(each.get("path", "")).rpartition("/")[2]
            if name and name not in (".", ".."):
                found.append(TreeEntry(name, None if each.get("is_dir") else int(each.get("file_size") or 0)))
        return sorted(found, key=lambda entry: entry.name)

    def open(self, path: str) -> OpenedFile:
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
