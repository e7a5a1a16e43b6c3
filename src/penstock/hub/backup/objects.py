"""Pieces of backups, each at the SHA-256 of what it is: written once, whole, and checked when it is read.

A piece that is there already is used again. A disk may have changed it meanwhile, so it is checked where that is cheap:
small ones on this machine always, of all others those that a lot falls on; and all of them where that is asked for.
What has changed is written anew, which mends the earlier backups that have it, too.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterator
from typing import BinaryIO

from penstock.artifacts.trees import ArtifactTree, LocalTree
from penstock.errors import ArtifactNotFound, BackupBroken

_FOLDER = "objects"
_PIECE = 1024 * 1024
_SMALL = 256 * 1024
_LOTS = 8 * 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BackupObjects:
    """Below the place of backups. Used by several threads."""

    def __init__(self, tree: ArtifactTree, *, verify: bool = False) -> None:
        self._tree = tree
        self._verify = verify
        self._cheap = _SMALL if isinstance(tree, LocalTree) else 0
        self._lot = secrets.choice("0123456789abcdef")  # of a piece's last letter
        # Mutable state, under the lock: sizes by digest of what is there, for each two first letters that were asked
        # for; pieces that are known to be what they are named; and the bytes that were written.
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, int]] = {}
        self._proven: set[str] = set()
        self.written = 0

    def has(self, digest: str, size: int) -> bool:
        """Whether it is there, in that size, and not found to be another one."""
        with self._lock:
            known = self._known.get(digest[:2])
            if known is None:
                entries = self._tree.entries(f"{_FOLDER}/{digest[:2]}")
                known = self._known[digest[:2]] = {entry.name: entry.size or 0 for entry in entries}
            if known.get(digest) != size:
                return False
            if digest in self._proven or not self._to_prove(digest, size):
                return True
        try:
            for _ in self.pieces(digest):
                pass
        except BackupBroken:
            with self._lock:
                known.pop(digest, None)
            return False
        with self._lock:
            self._proven.add(digest)
        return True

    def _to_prove(self, digest: str, size: int) -> bool:
        return self._verify or size <= self._cheap or (size <= _LOTS and digest.endswith(self._lot))

    def put(self, content: bytes) -> str:
        """Its digest. What is there is not written again."""
        digest = hashlib.sha256(content).hexdigest()
        if not self.has(digest, len(content)):
            with self._tree.new(_path(digest)) as file:
                write_all(file, content)
            self._written(digest, len(content))
        return digest

    def put_file(self, file: BinaryIO, digest: str, size: int) -> bool:
        """A file whose digest is known; says whether it still was that when it was copied, and is there only then."""
        if self.has(digest, size):
            return True
        found = hashlib.sha256()
        try:
            with self._tree.new(_path(digest)) as target:
                while piece := file.read(_PIECE):
                    found.update(piece)
                    write_all(target, piece)
                if found.hexdigest() != digest:
                    raise _OtherContentError
        except _OtherContentError:
            return False
        self._written(digest, size)
        return True

    def read(self, digest: str) -> bytes:
        """Raises BackupBroken where it is missing or another one."""
        return b"".join(self.pieces(digest))

    def pieces(self, digest: str) -> Iterator[bytes]:
        """The same, a piece at a time: that it is the right one is known after the last."""
        found = hashlib.sha256()
        try:
            opened = self._tree.open(_path(digest))
        except ArtifactNotFound:
            raise BackupBroken(
                f"The backup is damaged: {_path(digest)} is missing.", hint="Restore another backup."
            ) from None
        with opened.file as file:
            while piece := file.read(_PIECE):
                found.update(piece)
                yield piece
        if found.hexdigest() != digest:
            raise BackupBroken(f"The backup is damaged: {_path(digest)} has changed.", hint="Restore another backup.")

    def _written(self, digest: str, size: int) -> None:
        with self._lock:
            self._known[digest[:2]][digest] = size
            self._proven.add(digest)
            self.written += size


class _OtherContentError(Exception):
    """What was copied is not what was read before."""


def is_digest(given: object) -> bool:
    """Whether it is what a piece is named by."""
    return isinstance(given, str) and _DIGEST.fullmatch(given) is not None


def _path(digest: str) -> str:
    """Raises BackupBroken."""
    if not is_digest(digest):
        raise BackupBroken(
            f"The backup is damaged: {str(digest)[:200]!a} names no piece of it.", hint="Restore another backup."
        )
    return f"{_FOLDER}/{digest[:2]}/{digest}"


def write_all(file: BinaryIO, piece: bytes) -> None:
    """All of it: a file without a buffer may take a part."""
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]
