"""A directory removed with what is in it, however deep: by two descriptors, without recursion, without following links.

What is below a directory of the top is moved up into the top before its own directory goes, so nothing is ever reached
by a path that grows, nor by `..`, which leads elsewhere once somebody moves a directory.
"""

from __future__ import annotations

import errno
import os
import uuid
from contextlib import suppress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_directory(name: str, parent: int) -> None:
    """`parent` is the descriptor of the directory that has it. May raise OSError; what somebody else removes meanwhile
    is no error."""
    top = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        while entries := os.listdir(top):
            for entry in entries:
                if not _is_removed(entry, top):
                    _empty_into(top, entry)
                    with suppress(FileNotFoundError):
                        os.rmdir(entry, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _empty_into(top: int, name: str) -> None:
    """Removes what is in a directory of the top, except for directories that are not empty: they become the top's."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=top)
    except FileNotFoundError:
        return
    try:
        for entry in os.listdir(directory):
            if not _is_removed(entry, directory):
                with suppress(FileNotFoundError):
                    os.rename(entry, uuid.uuid4().hex, src_dir_fd=directory, dst_dir_fd=top)
    finally:
        os.close(directory)


def _is_removed(name: str, directory: int) -> bool:
    """Removes a file, a link or an empty directory. False is a directory that has something in it."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):  # Linux and POSIX, of a directory
            raise
    else:
        return True
    try:
        os.rmdir(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
