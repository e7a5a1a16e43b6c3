"""Files and directories that appear whole or not at all: written beside their place, synced, renamed.

Nobody but their owner may write to them. Raises OSError as it comes: what failed means something else to each caller.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes `target` in one step if all goes well, and disappears if not."""
    # The name is always the same: what a killed process left behind is written over by the next.
    beside = target.with_name(f".{target.name}.part")
    beside.touch(mode=0o644)
    try:
        yield beside
        fsync(beside)
        rename(beside, target)
        fsync(target.parent)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


@contextmanager
def new_directory(target: Path, *, sync: bool = True, replace: bool = False) -> Iterator[Path]:
    """The same for a directory, which must not exist yet, unless it is to be replaced; raises FileExistsError at either
    end. Without `sync` a power cut may leave an entry with empty files, which a reader must then be able to tell."""
    if target.exists() and not replace:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield directory
        _protect(directory)
        if sync:
            _sync_tree(directory)
        with _set_aside(target, replace):
            _rename_directory(directory, target)
        if sync:
            fsync(target.parent)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Writes a small file in one step, safe against other writers; a power cut may lose it. Makes its directory."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        beside.touch(mode=0o644)
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """While nobody else has the directory locked (flock), which is made if it is not there: for whoever reads a file in
    it and replaces it by what follows from that. No file of its own is left behind."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        import fcntl
    except ImportError:  # a system without locks
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def append_line(path: Path, line: bytes) -> None:
    """Adds a line to the end of a file, durably: after a crash it is there, or at most half of it."""
    path.touch(mode=0o644)
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def rename(source: Path, target: Path) -> None:
    """The step by which a file appears; a function of its own so that tests can stop there."""
    source.chmod(0o644)
    source.replace(target)


def fsync(path: Path) -> None:
    """What was written to a file, or into a directory, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _set_aside(target: Path, replace: bool) -> Iterator[None]:
    """Takes what is to be replaced away from its place, and puts it back where its successor does not come."""
    if not (replace and target.exists()):
        yield
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)) / target.name
    try:
        target.rename(old)
        try:
            yield
        except BaseException:
            old.rename(target)
            raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)


def _rename_directory(directory: Path, target: Path) -> None:
    try:
        directory.rename(target)
    except OSError:
        if not target.exists():
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None


def _protect(directory: Path) -> None:
    """Takes away the right to write for everybody but the owner, whatever the shell's mask is: who may write to a
    package decides what runs here. The directory itself is anybody's to read."""
    directory.chmod(0o755)
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            if mode & 0o022 and not os.path.islink(path):
                os.chmod(path, mode & ~0o022)


def _sync_tree(directory: Path) -> None:
    """Everything on disk before the rename makes it visible."""
    for folder, _, files in os.walk(directory):
        for name in files:
            fsync(Path(folder, name))
        fsync(Path(folder))
