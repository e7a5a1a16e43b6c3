"""Packages that were downloaded, kept on this machine: once, whole, and as they came.

An entry is a directory named by the hash of what identifies the package. It appears by a rename when everything is in
it, with the package's digest beside the package, which every later use is checked against.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import CacheUnusable, PackageError, PackageExists, PackageNotFound, PackagingFailed
from penstock.package import PackagedModel
from penstock.package.directory import new_directory

_DIGEST = "digest"
_ORIGIN = "origin.json"


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """PENSTOCK_CACHE, or `penstock` in the user's directory of caches."""
    if named := environ.get("PENSTOCK_CACHE"):
        return Path(os.path.abspath(os.path.expanduser(named)))
    return Path(environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")).absolute() / "penstock"


class PackageCache:
    """Downloaded packages under a directory. Safe to use from several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fetch(self, identity: Sequence[str], name: str, download: Callable[[Path], None]) -> Path:
        """The package that `identity` names, from here or else through `download`, which fills an empty directory.

        `name` becomes the directory's name, for people who read logs. Whoever comes while a package is downloaded waits
        for it. An entry that has changed since it came is thrown away and downloaded again.

        Raises CacheUnusable, PackageNotFound where no package was downloaded, PackageInvalid, SealBroken, and what
        `download` raises.
        """
        entry = self.root / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        with self._alone(entry):
            if entry.exists():
                if _intact(entry, name):
                    return entry / name
                shutil.rmtree(entry, ignore_errors=True)
            for left in self.root.glob(f".{entry.name}.*"):  # by a process that was killed: nobody else is at work here
                shutil.rmtree(left, ignore_errors=True)
            try:
                with new_directory(entry) as directory:
                    self._fill(directory, identity, name, download)
            except PackageExists:
                # Only where locks do not work. The other one's download is as good as ours.
                if not _intact(entry, name):
                    raise
            except PackagingFailed as error:
                raise self._unusable(error.message) from error
        return entry / name

    def _fill(self, directory: Path, identity: Sequence[str], name: str, download: Callable[[Path], None]) -> None:
        target = directory / name
        target.mkdir()
        download(target)
        try:
            package = PackagedModel.open(target)
        except PackageNotFound:
            raise PackageNotFound(f"There is no package at {identity[-1]}: it holds no MLmodel file.") from None
        package.verify()
        (directory / _DIGEST).write_text(package.digest + "\n", encoding="ascii")
        (directory / _ORIGIN).write_text(json.dumps(identity) + "\n", encoding="utf-8")

    @contextmanager
    def _alone(self, entry: Path) -> Iterator[None]:
        """Holds the entry's lock. Without locks (Windows, odd file systems) two may download; one of them wins."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.root / f"{entry.name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._unusable(f"{error.strerror}") from None
        try:
            _lock(lock)
            yield
        finally:
            os.close(lock)

    def _unusable(self, reason: str) -> CacheUnusable:
        return CacheUnusable(
            f"Downloaded packages cannot be kept in {self.root}: {reason}",
            hint="Name a directory that can be written with PENSTOCK_CACHE.",
        )

    def __repr__(self) -> str:
        return f"<PackageCache {self.root}>"


def _intact(entry: Path, name: str) -> bool:
    try:
        package = PackagedModel.open(entry / name)
        package.verify()
        return package.digest == (entry / _DIGEST).read_text(encoding="ascii").strip()
    except (PackageError, OSError, ValueError):
        return False


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return
