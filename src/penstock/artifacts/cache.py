"""Packages that came from elsewhere, kept on this machine: fetched once, whole, as they came, and no more than fit.

An entry is a directory named by the hash of what identifies the package. It appears by a rename when everything is in
it, with the package's digest beside the package, which every later use is checked against. A lock file beside it lets
one process at a time fill or remove it; a lock on the directory itself says that somebody uses it (`holds`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from penstock.artifacts.holds import ORIGIN, hold_until_taken, lock, touch
from penstock.errors import CacheUnusable, PackageError, PackageExists, PackageNotFound, PackagingFailed, SealBroken
from penstock.package import PackagedModel
from penstock.package.directory import new_directory
from penstock.sizes import parse_size, shown_size

log = logging.getLogger("penstock.artifacts")

DEFAULT_SIZE = "10GiB"

DIGEST = "digest"
_ENTRY = re.compile(r"[0-9a-f]{32}")
_LEFT = re.compile(r"\.([0-9a-f]{32})\..+")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """PENSTOCK_CACHE, or `penstock` in the user's directory of caches."""
    if named := environ.get("PENSTOCK_CACHE"):
        return Path(os.path.abspath(os.path.expanduser(named)))
    return Path(environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")).absolute() / "penstock"


def default_size(environ: Mapping[str, str] = os.environ) -> int:
    """PENSTOCK_CACHE_SIZE, or 10 GiB. Raises ConfigError."""
    return parse_size(environ.get("PENSTOCK_CACHE_SIZE") or DEFAULT_SIZE)


class PackageCache:
    """Packages under a directory, up to `size` bytes. Safe to use from several threads and processes."""

    def __init__(self, root: Path, size: int | None = None) -> None:
        self.root = root
        self.size = default_size() if size is None else size

    def fetch(
        self,
        identity: Sequence[str],
        name: str,
        download: Callable[[Path], None],
        *,
        digest: str | None = None,
    ) -> Path:
        """The package that `identity` names, from here or else through `download`, which fills an empty directory.

        `name` becomes the directory's name, for people who read logs; one identity always has the same. Whoever comes
        while a package is downloaded waits for it. An entry that has changed since it came is thrown away and
        downloaded again. The package stays until `holds.hold` has been asked for it, and the hold is closed.

        Raises CacheUnusable, PackageNotFound where no package was downloaded, PackageInvalid, SealBroken also where it
        has another digest than `digest`, and what `download` raises.
        """
        entry = self.root / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        with self._alone(entry):
            if not _intact(entry, name):
                shutil.rmtree(entry, ignore_errors=True)
                self._make(entry, identity, name, download, digest)
            touch(entry)
            hold_until_taken(entry / name)
        self.trim()
        return entry / name

    def trim(self, size: int | None = None) -> int:
        """Removes what killed processes left behind, and then, until the rest fits into `size` bytes, the entries that
        were used least lately. What anybody uses now stays. Returns the bytes that remain."""
        size = self.size if size is None else size
        for left in self._named(_LEFT):
            with self._tried(left.name[1:33]) as alone:
                if alone:
                    shutil.rmtree(left, ignore_errors=True)
        entries = sorted((_last_used(entry), entry) for entry in self._named(_ENTRY) if entry.is_dir())
        sizes = {entry: _size_of(entry) for _, entry in entries}
        total = sum(sizes.values())
        for _, entry in entries:
            if total <= size:
                break
            if self._remove(entry):
                log.info("%s was removed from the cache: it was used least lately.", _origin(entry) or entry.name)
                total -= sizes[entry]
        return total

    # -- filling -----------------------------------------------------------------------------------------------------

    def _make(
        self, entry: Path, identity: Sequence[str], name: str, download: Callable[[Path], None], digest: str | None
    ) -> None:
        """Fills the entry. A full disk is given a second chance, without the packages that nobody uses."""
        for last in (False, True):
            for left in self.root.glob(f".{entry.name}.*"):  # by a process that was killed: nobody else is at work here
                shutil.rmtree(left, ignore_errors=True)
            try:
                with new_directory(entry) as directory:
                    self._fill(directory, identity, name, download, digest)
                return
            except PackageExists:
                # Only where locks do not work. The other one's download is as good as ours.
                if not _intact(entry, name):
                    raise
                return
            except PackagingFailed as error:
                cause = error.__cause__
                full = isinstance(cause, OSError) and cause.errno in _FULL
                if last or not full:
                    raise self._unusable(error.message, full=full) from error
                self.trim(0)

    def _fill(
        self,
        directory: Path,
        identity: Sequence[str],
        name: str,
        download: Callable[[Path], None],
        digest: str | None,
    ) -> None:
        target = directory / name
        target.mkdir()
        download(target)
        try:
            package = PackagedModel.open(target)
        except PackageNotFound:
            raise PackageNotFound(f"There is no package at {identity[-1]}: it holds no MLmodel file.") from None
        package.verify()
        if digest is not None and package.digest != digest:
            raise SealBroken(f"What came is another package ({package.digest[:12]}) than was wanted ({digest[:12]}).")
        (directory / DIGEST).write_text(package.digest + "\n", encoding="ascii")
        (directory / ORIGIN).write_text(json.dumps(identity) + "\n", encoding="utf-8")

    # -- locks and removing ------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, entry: Path) -> Iterator[None]:
        """Holds the entry's lock. Without locks (Windows, odd file systems) two may download; one of them wins."""
        path = self.root / f"{entry.name}.lock"
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            while True:
                descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
                lock(descriptor)
                if _is_still(path, descriptor):
                    break
                os.close(descriptor)  # whoever had it before has removed the entry, and this file with it
        except OSError as error:
            raise self._unusable(f"{error.strerror}") from None
        try:
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _tried(self, name: str) -> Iterator[bool]:
        """The same for whoever does not want to wait; says whether it holds the lock."""
        path = self.root / f"{name}.lock"
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            yield False
            return
        try:
            yield lock(descriptor, wait=False) and _is_still(path, descriptor)
        finally:
            os.close(descriptor)

    def _remove(self, entry: Path) -> bool:
        """Removes an entry that nobody fills and nobody uses; says whether it did."""
        with self._tried(entry.name) as alone:
            if not alone or _is_held(entry):
                return False
            going = self.root / f".{entry.name}.{uuid.uuid4().hex}"
            try:
                entry.rename(going)  # at once, so that a kill in the middle leaves no half of it
            except OSError:
                return False
            shutil.rmtree(going, ignore_errors=True)
            (self.root / f"{entry.name}.lock").unlink(missing_ok=True)
            return True

    def _named(self, pattern: re.Pattern[str]) -> list[Path]:
        try:
            return [self.root / name for name in os.listdir(self.root) if pattern.fullmatch(name)]
        except OSError:
            return []

    def _unusable(self, reason: str, *, full: bool = False) -> CacheUnusable:
        name = "Name a directory that can be written in the setting cache."
        return CacheUnusable(
            f"Downloaded packages cannot be kept in {self.root}: {reason}",
            hint=f"Make room there; a smaller PENSTOCK_CACHE_SIZE keeps some. {name}" if full else name,
        )

    def __repr__(self) -> str:
        return f"<PackageCache {self.root}, {len(self._named(_ENTRY))} packages, up to {shown_size(self.size)}>"


def _intact(entry: Path, name: str) -> bool:
    try:
        package = PackagedModel.open(entry / name)
        package.verify()
        return package.digest == (entry / DIGEST).read_text(encoding="ascii").strip()
    except (PackageError, OSError, ValueError):
        return False


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_held(entry: Path) -> bool:
    """Whether somebody uses the package in an entry. Where there are no locks nobody can tell, so it is."""
    try:
        descriptor = os.open(entry, os.O_RDONLY)
    except OSError:
        return True
    try:
        return not lock(descriptor, wait=False)
    finally:
        os.close(descriptor)


def _last_used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0


def _size_of(entry: Path) -> int:
    total = 0
    for folder, _, files in os.walk(entry):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # removed meanwhile
                continue
    return total


def _origin(entry: Path) -> str:
    try:
        return " ".join(map(str, json.loads((entry / ORIGIN).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return ""
