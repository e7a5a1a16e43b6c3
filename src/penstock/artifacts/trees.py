"""Files below a root, by relative path: listed, read, written whole, deleted; on this machine or in an object store.

A path comes from a stranger. It is checked once, in `safe_path`, and on this machine every part of it must be a name
(`names_in`), and is opened from the directory before it without following links, so that nothing outside of the root
is ever reached, whoever forgot to check.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from penstock.artifacts.removing import remove_directory
from penstock.errors import ArtifactNotFound, RegistryFull, RegistryReadOnly, RegistryUnavailable, TrackingInvalid

log = logging.getLogger("penstock.artifacts")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_PATH = 4096

# Directories in each other: far more than any package has, and few enough for every program that walks them.
_MAX_PARTS = 64

# Where uploads are until they are whole: in the root, so that a rename puts them in their place.
UPLOADS = ".penstock-uploads"


class TreeEntry(NamedTuple):
    """One name in a directory. `size` is in bytes, None for a directory."""

    name: str
    size: int | None


class OpenedFile(NamedTuple):
    """A file to read, which can seek, its size in bytes, and a mark that is another one once its content is; empty
    where the store gives none. `is_local` is whether it is a file of this machine, with a number."""

    file: BinaryIO
    size: int
    mark: str = ""
    is_local: bool = False


def safe_path(path: str) -> str:
    """The path without doubled and final slashes. Raises TrackingInvalid for one that might lead out of a root, in the
    form in which it is or in any that decoding it again gives."""
    seen = path
    for _ in range(10):
        parts = seen.replace("\\", "/").split("/")
        leads_up = any(part.partition(";")[0] == ".." for part in parts)  # some readers stop at the semicolon
        absolute = not (parts[0] or len(parts) == 1) or parts[0].lower() == "file:" or _has_drive(seen)
        if len(seen) > _MAX_PATH or leads_up or absolute or UPLOADS in parts or _has_control(seen):
            raise TrackingInvalid(f"Invalid path: {path[:200]!a}.", field="path")
        decoded = unquote(seen)
        if decoded == seen:
            break
        seen = decoded
    else:
        raise TrackingInvalid(f"Invalid path: {path[:200]!a} is encoded too often.", field="path")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not all(map(_is_name, parts)):
        raise TrackingInvalid(f"Invalid path: {path[:200]!a}.", field="path")
    if len(parts) > _MAX_PARTS:
        raise TrackingInvalid(
            f"Invalid path: {path[:200]!a} has {len(parts)} parts, and {_MAX_PARTS} are allowed.", field="path"
        )
    return "/".join(parts)


def names_in(path: str) -> list[str]:
    """The parts of a path, none for the root. Raises TrackingInvalid where one is no name: empty, `.`, `..`, or with a
    byte that ends it. Unlike `safe_path` it lets through all that may be on a disk."""
    parts = path.split("/") if path else []
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise TrackingInvalid(f"Invalid path: {path[:200]!a}.", field="path")
    return parts


class ArtifactTree(ABC):
    """Every path is one that `safe_path` gave. May raise RegistryUnavailable, RegistryDenied, RegistryReadOnly."""

    @abstractmethod
    def entries(self, path: str) -> list[TreeEntry]:
        """What is in a directory, by name; nothing for a file, and for what is not there."""

    @abstractmethod
    def open(self, path: str) -> OpenedFile:
        """Raises ArtifactNotFound, and TrackingInvalid for a directory."""

    @abstractmethod
    @contextmanager
    def new(self, path: str) -> Iterator[BinaryIO]:
        """A file to write to, which appears in one step if all goes well, else not at all. Makes directories."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """A file, or a directory with what is in it. Raises ArtifactNotFound."""

    def prune(self, path: str) -> None:  # noqa: B027  (a store of objects has no empty directories)
        """Removes a directory if nothing is in it."""

    @abstractmethod
    def written_at(self, path: str) -> float | None:
        """When something below a directory was written last, in seconds since 1970; None where nobody knows."""

    def drafts(self, older_than: float) -> list[TreeEntry]:
        """What uploads have left whose program was killed: drafts to which nothing was written since a moment, in
        seconds since 1970. A store that keeps no drafts has none."""
        return []

    def sweep(self, older_than: float) -> int:
        """Removes those drafts; says how many."""
        return 0


class LocalTree(ArtifactTree):
    """A directory of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))

    def __repr__(self) -> str:
        return f"<LocalTree {self._root}>"

    def entries(self, path: str) -> list[TreeEntry]:
        found = []
        try:
            with self._directory(path) as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    try:
                        known = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # removed since the directory was read
                        continue
                    if stat.S_ISDIR(known.st_mode):
                        found.append(TreeEntry(entry.name, None))
                    elif stat.S_ISREG(known.st_mode):
                        found.append(TreeEntry(entry.name, known.st_size))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(entry for entry in found if entry.name != UPLOADS)

    def open(self, path: str) -> OpenedFile:
        directory, name = _split(path)
        try:
            with self._directory(directory) as descriptor:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=descriptor)
        except OSError as error:
            # Links, sockets and pipes that somebody has put there are no artifacts.
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                raise missing(path) from None
            raise RegistryUnavailable(f"{path} cannot be read: {error.strerror or error}.") from error
        known = os.fstat(file)
        if not stat.S_ISREG(known.st_mode):
            os.close(file)
            raise no_file(path) if stat.S_ISDIR(known.st_mode) else missing(path)
        # Each upload is a new file, so a mark tells also what was replaced within one tick of the clock.
        mark = f"{known.st_mtime_ns:x}-{known.st_size:x}-{known.st_ino:x}"
        return OpenedFile(os.fdopen(file, "rb", buffering=0), known.st_size, mark, is_local=True)

    @contextmanager
    def new(self, path: str) -> Iterator[BinaryIO]:
        directory, name = _split(path)
        if not name:
            raise no_file(path)
        draft = uuid.uuid4().hex
        with _translated(path), self._directory(UPLOADS, make=True) as uploads:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=uploads)
            try:
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    yield file
                    os.fsync(file.fileno())
                with self._directory(directory, make=True) as target:
                    os.rename(draft, name, src_dir_fd=uploads, dst_dir_fd=target)
                    os.fsync(target)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=uploads)

    def remove(self, path: str) -> None:
        directory, name = _split(path)
        try:
            with _translated(path), self._directory(directory) as descriptor:
                if stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                    remove_directory(name, descriptor)
                else:
                    os.unlink(name, dir_fd=descriptor)
        except FileNotFoundError:
            raise missing(path) from None

    def prune(self, path: str) -> None:
        if not path:  # the root stays
            return
        directory, name = _split(path)
        with suppress(OSError), self._directory(directory) as descriptor:
            os.rmdir(name, dir_fd=descriptor)

    def written_at(self, path: str) -> float | None:
        newest, pending = 0.0, [path]
        try:
            while pending:
                below = pending.pop()
                with self._directory(below) as descriptor, os.scandir(descriptor) as entries:
                    newest = max(newest, os.fstat(descriptor).st_mtime)
                    for entry in entries:
                        known = entry.stat(follow_symlinks=False)
                        newest = max(newest, known.st_mtime)
                        if stat.S_ISDIR(known.st_mode):
                            pending.append(f"{below}/{entry.name}".lstrip("/"))
        except OSError:  # it changes just now
            return None
        return newest

    def drafts(self, older_than: float) -> list[TreeEntry]:
        try:
            with self._directory(UPLOADS) as uploads, os.scandir(uploads) as drafts:
                known = [(draft.name, draft.stat(follow_symlinks=False)) for draft in drafts]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(TreeEntry(name, found.st_size) for name, found in known if found.st_mtime < older_than)

    def sweep(self, older_than: float) -> int:
        swept = 0
        try:
            drafts = self.drafts(older_than)
            for draft in drafts:
                with self._directory(UPLOADS) as uploads, suppress(FileNotFoundError):
                    os.unlink(draft.name, dir_fd=uploads)
                    swept += 1
        except OSError as error:
            log.warning("Drafts of uploads in %s cannot be removed: %s.", self._root, error.strerror or error)
        return swept

    @contextmanager
    def _directory(self, path: str, *, make: bool = False) -> Iterator[int]:
        """A directory, opened part by part without following links. Raises FileNotFoundError, NotADirectoryError."""
        parts = names_in(path)
        if make:
            self._root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=descriptor)
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=descriptor)
                except OSError as error:
                    if error.errno == errno.ELOOP:  # a link
                        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), part) from None
                    raise
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """This machine's disk, in our words; FileNotFoundError stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise RegistryReadOnly(f"{path} cannot be written: {error.strerror}.") from error
        if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise TrackingInvalid(f"{path} cannot be written: a name in it is taken.", field="path") from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RegistryFull(
                f"{path} cannot be written: {error.strerror}.", hint="Make room on the disk of the artifacts."
            ) from error
        raise RegistryUnavailable(f"{path} cannot be written: {error.strerror or error}.") from error


def _split(path: str) -> tuple[str, str]:
    """The directory of a file, and its name in it. Raises TrackingInvalid."""
    *above, name = names_in(path) or [""]
    return "/".join(above), name


def missing(path: str) -> ArtifactNotFound:
    """Nothing is at a path."""
    return ArtifactNotFound(f"No such artifact: {path[:300]!r}.")


def no_file(path: str) -> TrackingInvalid:
    """A directory is at a path."""
    return TrackingInvalid(f"{path[:300]!a} is a directory, not a file.", field="path")


def _is_name(part: str) -> bool:
    try:
        return len(part.encode()) <= 255
    except UnicodeEncodeError:  # half a character
        return False


def _has_control(text: str) -> bool:
    return any(ord(letter) < 32 or ord(letter) == 127 for letter in text)


def _has_drive(text: str) -> bool:
    return len(text) > 1 and text[1] == ":" and text[0].isalpha() and text[2:3] in ("/", "\\")
