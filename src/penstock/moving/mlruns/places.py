"""Place: a directory or file of a file store, reached step by step from its root so that no link is followed on the
way, and read only where it is a regular file: a pipe would be waited for without end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from penstock.errors import ImportFailed

IS_LINK = "is a link, and none is followed"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that nobody writes to opens at once.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# More than the longest key has parts.
_DEEPEST = 130


class UnreadableError(Exception):
    """Why a file or directory is no object: a part of a sentence."""


@dataclass(frozen=True, slots=True)
class Place:
    """`parts` are the names below the root, which alone may be a link: a person has named it."""

    root: Path
    parts: tuple[str, ...] = ()

    def __truediv__(self, names: str) -> Place:
        return Place(self.root, (*self.parts, *names.split("/")))

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def path(self) -> Path:
        """For messages and locations: whoever opens it may follow links."""
        return self.root.joinpath(*self.parts)

    def is_link(self) -> bool:
        found = self._looked_at()
        return found is not None and stat.S_ISLNK(found.st_mode)

    def is_file(self) -> bool:
        found = self._looked_at()
        return found is not None and stat.S_ISREG(found.st_mode)

    def size(self) -> int:
        """0 of what is not there."""
        found = self._looked_at()
        return 0 if found is None else found.st_size

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Raises UnreadableError, and FileNotFoundError."""
        try:
            with _folder(self.root, self.parts[:-1]) as folder:
                if stat.S_ISLNK(os.stat(self.name, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise UnreadableError(IS_LINK)
                number = os.open(self.name, _FILE, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise UnreadableError("is no regular file")
            yield file

    def _looked_at(self) -> os.stat_result | None:
        """None where nothing is, or a link is on the way."""
        try:
            with _folder(self.root, self.parts[:-1]) as folder:
                return os.stat(self.name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return None


def subdirectories(place: Place) -> list[Place]:
    """By name; none where there is no directory. Hidden ones are left out; links are among them, since they are told
    where they are read. Raises ImportFailed."""
    return [place / name for name, is_other in _names(place) if not is_other and not name.startswith(".")]


def held_in(place: Place, folder: str) -> list[Place]:
    """Directories of a folder that has a name of its own. Where this is a link, it stands for what is behind it."""
    below = place / folder
    return [below] if below.is_link() else subdirectories(below)


def files_of(place: Place) -> list[tuple[str, Place]]:
    """What is below a directory and is none, by the relative path, which is the name of what it holds. Links and pipes
    are among them, since they are told where they are read; a link in the directory's place stands for all that is
    behind it. Raises ImportFailed."""
    if place.is_link():
        return [(place.name, place)]
    found, pending, start = [], [place], len(place.parts)
    while pending:
        folder = pending.pop()
        deepest = len(folder.parts) - start >= _DEEPEST
        for name, is_other in _names(folder):
            below = folder / name
            if is_other or deepest or below.is_link():
                found.append(("/".join(below.parts[start:]), below))
            else:
                pending.append(below)
    return sorted(found, key=lambda each: each[0])


def _names(place: Place) -> list[tuple[str, bool]]:
    """In a directory, sorted; and whether each is something else than a directory or a link to anything."""
    try:
        with _folder(place.root, place.parts) as folder, os.scandir(folder) as entries:
            return sorted((e.name, not (e.is_dir(follow_symlinks=False) or e.is_symlink())) for e in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ImportFailed(f"{place.path} cannot be read: {error.strerror or error}.") from error


@contextmanager
def _folder(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """The number of an open directory. Raises NotADirectoryError where a part is a link."""
    number = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            try:
                below = os.open(part, _FOLDER, dir_fd=number)
            except OSError as error:
                if stat.S_ISLNK(os.stat(part, dir_fd=number, follow_symlinks=False).st_mode):
                    raise NotADirectoryError(error.errno, IS_LINK) from None
                raise
            os.close(number)
            number = below
        yield number
    finally:
        os.close(number)
