"""Directories that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import PackageExists, PackagingFailed


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A directory that becomes `target` in one step if all goes well, and disappears if not.

    Written beside the target, synced, renamed. Raises PackageExists, PackagingFailed.
    """
    if target.exists():
        raise PackageExists(f"{target} exists already.", hint="Choose another place, or remove it first.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise PackagingFailed(f"Nothing can be written at {target.parent}: {error.strerror}.") from None
    try:
        yield directory
        directory.chmod(0o755)
        _sync(directory)
        _rename(directory, target)
    except OSError as error:
        raise PackagingFailed(f"The package cannot be written at {target}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _rename(directory: Path, target: Path) -> None:
    try:
        directory.rename(target)
    except OSError:
        if not target.exists():
            raise
        raise PackageExists(f"{target} was made by somebody else meanwhile.") from None
    fsync(target.parent)


def _sync(directory: Path) -> None:
    """Everything on disk before the rename makes it visible."""
    for folder, _, files in os.walk(directory):
        for name in files:
            fsync(Path(folder, name))
        fsync(Path(folder))


def fsync(path: Path) -> None:
    """What was written to a file, or into a directory, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
