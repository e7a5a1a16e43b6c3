"""Packages that came from elsewhere, kept on this machine: fetched once, whole, as they came, and no more than fit.

An entry (`storage.entries`) is named by the hash of what identifies the package. The package's digest lies beside the
package in it; every later use is checked against that.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from penstock.artifacts.cached_package import ORIGIN, CachedPackage
from penstock.errors import CacheUnusable, PackageError, PackageNotFound, SealBroken
from penstock.package import PackagedModel
from penstock.sizes import parse_size, shown_size
from penstock.storage.download import MAX_PACKAGE_SIZE
from penstock.storage.entries import Entries, hold_entry, last_used, size_of

log = logging.getLogger("penstock.artifacts")

DEFAULT_SIZE = "10GiB"

DIGEST = "digest"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """PENSTOCK_CACHE, or `penstock` in the user's directory of caches."""
    if named := environ.get("PENSTOCK_CACHE"):
        return Path(os.path.abspath(os.path.expanduser(named)))
    return Path(environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")).absolute() / "penstock"


def default_size(environ: Mapping[str, str] = os.environ) -> int:
    """PENSTOCK_CACHE_SIZE, or 10 GiB. Raises ConfigError."""
    return parse_size(environ.get("PENSTOCK_CACHE_SIZE") or DEFAULT_SIZE)


def default_max_package_size(environ: Mapping[str, str] = os.environ) -> int:
    """PENSTOCK_MAX_PACKAGE_SIZE, or 64 GiB. Raises ConfigError."""
    return parse_size(environ.get("PENSTOCK_MAX_PACKAGE_SIZE") or MAX_PACKAGE_SIZE)


class PackageCache:
    """Packages under a directory, up to `size` bytes, each up to `max_package_size`. Safe to use from several threads
    and processes."""

    def __init__(self, root: Path, size: int | None = None, max_package_size: int | None = None) -> None:
        self.root = root
        self.max_package_size = default_max_package_size() if max_package_size is None else max_package_size
        self.size = default_size() if size is None else size
        self._entries = Entries(root)

    def fetch(
        self,
        identity: Sequence[str],
        name: str,
        download: Callable[[Path], None],
        *,
        digest: str | None = None,
    ) -> CachedPackage:
        """The package that `identity` names, from here or else through `download`, which fills an empty directory.

        `name` becomes the directory's name, for people who read logs; one identity always has the same. A caller that
        comes while a package is downloaded waits for it. An entry that has changed since it came is thrown away and
        downloaded again. The package stays until its hold is closed.

        Raises CacheUnusable, PackageNotFound where no package was downloaded, PackageInvalid, SealBroken also where it
        has another digest than `digest`, and what `download` raises.
        """
        entry = self._entry(identity)
        try:
            lock = self._entries.lock(entry.name)
        except OSError as error:
            raise self._unusable(error) from None
        with lock:
            if not _intact(entry, name):
                self._make(entry, identity, name, download, digest)
            package = CachedPackage(entry / name, hold_entry(entry))
        self.trim()
        return package

    def known(self, identity: Sequence[str], name: str) -> tuple[PackagedModel, str] | None:
        """The package that `identity` names, to be looked at, and its digest, where it was fetched before; nothing is
        downloaded, held or verified."""
        entry = self._entry(identity)
        try:
            return PackagedModel.open(entry / name), (entry / DIGEST).read_text(encoding="ascii").strip()
        except (PackageError, OSError, ValueError):
            return None

    def _entry(self, identity: Sequence[str]) -> Path:
        return self.root / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]

    def trim(self, size: int | None = None) -> int:
        """Removes what killed processes left behind, and then, until the rest fits into `size` bytes, the entries that
        were used least lately. What anybody uses now stays. Returns the bytes that remain."""
        size = self.size if size is None else size
        self._entries.sweep()
        entries = sorted((last_used(entry), entry) for entry in self._entries.all())
        sizes = {entry: size_of(entry) for _, entry in entries}
        total = sum(sizes.values())
        for _, entry in entries:
            if total <= size:
                break
            origin = _origin(entry) or entry.name
            if self._entries.remove(entry.name):
                log.info("%s: removed from the cache as the least recently used package.", origin)
                total -= sizes[entry]
        return total

    def _make(
        self, entry: Path, identity: Sequence[str], name: str, download: Callable[[Path], None], digest: str | None
    ) -> None:
        """Fills the entry. A full disk is given a second chance, without the packages that nobody uses."""
        for last in (False, True):
            try:
                self._entries.make(entry.name, lambda place: _fill(place, identity, name, download, digest))
                return
            except FileExistsError as error:
                # Only where locks do not work. The other process's download is as good as ours.
                if not _intact(entry, name):
                    raise self._unusable(error) from error
                return
            except OSError as error:
                if last or error.errno not in _FULL:
                    raise self._unusable(error) from error
                self.trim(0)

    def _unusable(self, error: OSError) -> CacheUnusable:
        name = "Set cache to a writable directory."
        return CacheUnusable(
            f"Downloaded packages cannot be kept in {self.root}: {error.strerror or error}.",
            hint=f"Free some space; a smaller PENSTOCK_CACHE_SIZE keeps space free. {name}"
            if error.errno in _FULL
            else name,
        )

    def __repr__(self) -> str:
        return f"<PackageCache {self.root}, {len(self._entries.all())} packages, up to {shown_size(self.size)}>"


def _fill(
    directory: Path, identity: Sequence[str], name: str, download: Callable[[Path], None], digest: str | None
) -> None:
    target = directory / name
    target.mkdir()
    download(target)
    try:
        package = PackagedModel.open(target)
    except PackageNotFound:
        raise PackageNotFound(f"There is no package at {identity[-1]}: the directory has no MLmodel file.") from None
    package.verify()
    if digest is not None and package.digest != digest:
        raise SealBroken(f"The downloaded package ({package.digest[:12]}) is not the expected package ({digest[:12]}).")
    (directory / DIGEST).write_text(package.digest + "\n", encoding="ascii")
    (directory / ORIGIN).write_text(json.dumps(identity) + "\n", encoding="utf-8")


def _intact(entry: Path, name: str) -> bool:
    try:
        package = PackagedModel.open(entry / name)
        package.verify()
        return package.digest == (entry / DIGEST).read_text(encoding="ascii").strip()
    except (PackageError, OSError, ValueError):
        return False


def _origin(entry: Path) -> str:
    try:
        return " ".join(map(str, json.loads((entry / ORIGIN).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return ""
