"""The hub's files into a backup and out of it. A file that is as the backup before saw it is not read again.

Several are copied at once, since a store far away answers late; the list of them is in the order of their paths, so
that two lists are compared as they are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple

import orjson

from penstock.artifacts.trees import UPLOADS, ArtifactTree, OpenedFile, names_in
from penstock.artifacts.walking import WalkedFile, files_below, several_at_once
from penstock.errors import ArtifactNotFound, BackupBroken, RegistryUnavailable, TrackingInvalid
from penstock.hub.backup.manifest import SavedFiles
from penstock.hub.backup.objects import BackupObjects, is_digest
from penstock.hub.backup.tables import pack_lines, parts_of, unpack_lines

_PIECE = 1024 * 1024
# A file of so many bytes is held while its digest is found out; a larger one is read twice.
_HELD = 8 * 1024 * 1024
# How often a file that is replaced while it is read is read again.
_TRIES = 5


class SavedFile(NamedTuple):
    """A file of a backup; `mark` as in `OpenedFile`."""

    path: str
    size: int
    sha256: str
    mark: str


def save_files(
    tree: ArtifactTree,
    objects: BackupObjects,
    before: Iterator[SavedFile],
    on_file: Callable[[SavedFile], None],
    on_left_out: Callable[[str], None],
) -> SavedFiles:
    """All files of the tree. `before` are those of the backup before; `on_left_out` is told in a sentence of each file
    that was removed before it could be read, or whose name is no text."""
    known = _Alongside(before)

    def named() -> Iterator[tuple[WalkedFile, SavedFile | None]]:
        for walked in files_below(tree):
            if _is_text(walked.path):
                yield walked, known.at(walked.path)
            else:
                on_left_out(f"{walked.path!a} is not in the backup: its name is no UTF-8.")

    def save(each: tuple[WalkedFile, SavedFile | None]) -> SavedFile | str:
        try:
            return _save(tree, objects, *each)
        except ArtifactNotFound:
            return each[0].path

    files, size = 0, 0

    def lines(saved: Iterable[SavedFile | str]) -> Iterator[bytes]:
        nonlocal files, size
        for each in saved:
            if isinstance(each, str):
                on_left_out(f"{each} was removed before it could be saved.")
                continue
            files, size = files + 1, size + each.size
            on_file(each)
            yield orjson.dumps(tuple(each))

    with several_at_once(save, named()) as saved:
        parts = tuple(objects.put(pack_lines(some)) for some in parts_of(lines(saved)))
    return SavedFiles(files, size, parts)


def listed_files(objects: BackupObjects, saved: SavedFiles | None) -> Iterator[SavedFile]:
    """In the order of the parts of their paths, each of which is below a root. Raises BackupBroken."""
    for part in saved.parts if saved else ():
        for line in unpack_lines(objects.read(part), part):
            try:
                file = SavedFile(*orjson.loads(line))
            except (ValueError, TypeError):
                raise BackupBroken(f"The backup is damaged: its list of files, part {part}, cannot be read.") from None
            _check(file)
            yield file


def known_files(objects: BackupObjects, saved: SavedFiles | None) -> Iterator[SavedFile]:
    """The same of the backup before, as far as it can be read: what is behind that is read from the hub again."""
    with suppress(BackupBroken):
        yield from listed_files(objects, saved)


def _check(file: SavedFile) -> None:
    """A list comes from whoever could write to the place of the backups. Raises BackupBroken."""
    path, size, digest, mark = file
    if not isinstance(path, str) or not _leads_below(path):
        raise BackupBroken(
            f"The backup is damaged: it lists {str(path)[:200]!a}, which is no path of a file.",
            hint="Restore another backup.",
        )
    if type(size) is not int or size < 0 or not is_digest(digest) or not isinstance(mark, str):
        raise BackupBroken(
            f"The backup is damaged: it lists {path[:200]!a} without a size and a digest.",
            hint="Restore another backup.",
        )


def _leads_below(path: str) -> bool:
    """Any name that a disk may have is one of a file; a place for drafts is none."""
    try:
        parts = names_in(path)
    except TrackingInvalid:
        return False
    return bool(parts) and UPLOADS not in parts and all(len(part.encode()) <= 255 for part in parts)


def sha256_of(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while piece := file.read(_PIECE):
        found.update(piece)
    return found.hexdigest()


class _Alongside:
    """Looks files up in a list that has the order in which they are asked for."""

    def __init__(self, files: Iterator[SavedFile]) -> None:
        # The whole mutable state: where the list was read to.
        self._files = files
        self._next = next(files, None)

    def at(self, path: str) -> SavedFile | None:
        parts = path.split("/")
        while self._next is not None and self._next.path.split("/") < parts:
            self._next = next(self._files, None)
        return self._next if self._next is not None and self._next.path == path else None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _save(tree: ArtifactTree, objects: BackupObjects, walked: WalkedFile, known: SavedFile | None) -> SavedFile:
    for _ in range(_TRIES):
        opened = tree.open(walked.path)
        with opened.file as file:
            same = known is not None and opened.mark and (known.mark, known.size) == (opened.mark, opened.size)
            if known is not None and same and objects.has(known.sha256, known.size):
                return known
            digest = _copied(objects, file, opened)
        if digest is not None:
            return SavedFile(walked.path, opened.size, digest, opened.mark)
    raise RegistryUnavailable(f"{walked.path} cannot be saved: it changes whenever it is read.")


def _copied(objects: BackupObjects, file: BinaryIO, opened: OpenedFile) -> str | None:
    """The digest of a file that is in the backup now; None where it changed meanwhile."""
    if opened.size <= _HELD:
        content = b"".join(iter(lambda: file.read(_PIECE), b""))
        return objects.put(content) if len(content) == opened.size else None
    digest = sha256_of(file)
    file.seek(0)
    return digest if objects.put_file(file, digest, opened.size) else None
