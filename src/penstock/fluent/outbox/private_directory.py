"""Directories of the spool that nobody else can have made, filled, or put a link into.

What is in a segment is sent as the user who delivers it, so that whoever could make one could have files of that user's
sent wherever he likes. A directory is opened once, looked at as it is open, and what is in it is opened through it: a
path may mean something else a moment later.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ADMINISTRATOR = 0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateDirectory:
    """One that is open, of the user's own, and not writable by others."""

    def __init__(self, descriptor: int, *, is_reachable: bool) -> None:
        self._is_reachable = is_reachable
        self._descriptor = descriptor  # -1 once it is closed

    @classmethod
    def open(cls, path: str | Path, inside: PrivateDirectory | None = None) -> PrivateDirectory:
        """Raises PermissionError for one of another user, and OSError for a link and what is no directory."""
        descriptor = os.open(path, _DIRECTORY, dir_fd=None if inside is None else inside._descriptor)
        try:
            status = os.fstat(descriptor)
            # Where others cannot even come, as in every segment that is made here, none of them was.
            if (inside is None or inside._is_reachable) and (reason := distrusted(status)):
                raise PermissionError(errno.EPERM, f"it {reason}")
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, is_reachable=bool(status.st_mode & _OTHERS))

    def __repr__(self) -> str:
        return f"<PrivateDirectory {self._descriptor}>"

    def open_file(self, name: str, flags: int) -> BinaryIO:
        """Without a buffer. Raises FileNotFoundError for what is no file, such as a link to one, too."""
        try:
            descriptor = os.open(
                name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=self._descriptor
            )
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise FileNotFoundError(errno.ENOENT, "it is a link", name) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "it is no file", name)
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        return open(descriptor, "r+b" if writes else "rb", buffering=0)

    def remove_file(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def distrusted(status: os.stat_result) -> str:
    """Why a directory is not used; empty for one that only the user can have filled."""
    if (owner := _owner()) is None:
        return ""
    if status.st_uid != owner:
        return f"belongs to another user (uid {status.st_uid})"
    return "may be written by other users" if status.st_mode & _OTHERS_WRITE else ""


def private_place(spool: Path) -> Path:
    """Where segments are made: the spool, which is made if need be, or one directory below it where others may write to
    the spool, too. Raises OSError, also for one that another user made before: whose it is may put others in place of
    what is in it."""
    spool.parent.mkdir(parents=True, exist_ok=True)
    for place in (spool, own_part(spool)):
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        reason = _distrusted_place(place)
        if not reason:
            return place
        if os.lstat(place).st_uid not in (_owner(), _ADMINISTRATOR):
            break
    raise PermissionError(errno.EPERM, f"{place} {reason}; PENSTOCK_SPOOL names another directory")


def own_part(spool: Path) -> Path:
    """The user's part of a spool that several users write to."""
    return spool / f"penstock-{'user' if (owner := _owner()) is None else owner}"


def _owner() -> int | None:
    """None where files have no such owners."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _distrusted_place(place: Path) -> str:
    """A link counts as where it leads if the user, or the machine's administrator, made it."""
    status = os.lstat(place)
    if stat.S_ISLNK(status.st_mode):
        if _owner() is not None and status.st_uid not in (_owner(), _ADMINISTRATOR):
            return f"is a link of another user's (uid {status.st_uid})"
        status = os.stat(place)
    return distrusted(status) if stat.S_ISDIR(status.st_mode) else "is no directory"
