"""Files of a package that are read whole: regular ones alone, and none that is longer than its kind ever is.

A package comes from outside. A file in it may be a pipe that nobody writes to, a device that never ends, or a link to
a file that the package has no business with; so a file is looked at after it is opened and before it is read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from penstock.errors import PackageInvalid

MIB = 1024 * 1024
# The manifest, requirements, and other files that people can read.
TEXT_LIMIT = MIB
# An example and its recorded answer; a seal, which has a line for each file.
EXAMPLE_LIMIT = 16 * MIB
SEAL_LIMIT = 16 * MIB


def read_package_file(path: Path, limit: int = TEXT_LIMIT) -> bytes:
    """All of a regular file of at most so many bytes.

    Raises PackageInvalid for what is none or is longer, and FileNotFoundError, NotADirectoryError as they come: not
    every package has every file.
    """
    try:
        # Without waiting for somebody to write into a pipe, and without following a link.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise _not_regular(path) from None
        raise PackageInvalid(f"{path} cannot be read: {error.strerror}.") from None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise _not_regular(path)
        if about.st_size > limit:
            raise _too_large(path, about.st_size, limit)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise PackageInvalid(f"{path} cannot be read: {error.strerror}.") from None
    finally:
        os.close(descriptor)
    if len(content) > limit:  # it grew meanwhile
        raise _too_large(path, len(content), limit)
    return content


def _not_regular(path: Path) -> PackageInvalid:
    return PackageInvalid(f"{path} is not a regular file; a package may contain only regular files.")


def _too_large(path: Path, size: int, limit: int) -> PackageInvalid:
    return PackageInvalid(f"{path} is too large: {size:,} bytes, where {limit:,} are allowed.")
