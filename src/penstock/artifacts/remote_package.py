"""A package at a URL of its own, in no registry: copied into the cache when it is asked for, used from there.

Where it is sealed, the seal says what is there: a package that the cache has by its digest is not copied again. Where
it is not, as MLflow writes it, the store's own marks of the files (ETags, generations) say whether it changed.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from penstock.artifacts.cache import DIGEST, PackageCache
from penstock.artifacts.cached_package import ORIGIN, CachedPackage
from penstock.artifacts.notes import CacheNote
from penstock.artifacts.remote import SEAL_LIMIT, download_sealed, identity_of
from penstock.artifacts.remote_files import RemoteFiles
from penstock.errors import PackageNotFound, RegistryDenied, RegistryUnavailable
from penstock.manifest import FILE_NAME as MANIFEST
from penstock.package.seal import SEAL
from penstock.storage.download import Download
from penstock.storage.object_store import Listed

log = logging.getLogger("penstock.artifacts")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_TAKEN = frozenset({ORIGIN, DIGEST})  # beside the package in its entry


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the package at the URL is kept as in the cache; its digest, where a seal tells it."""

    identity: tuple[str, ...]
    name: str
    digest: str | None


class RemotePackage:
    """Whatever lies at the URL when it is asked for. Credentials are those of the store's own client.

    Raises PackageNotFound, PackageInvalid, SealBroken, CacheUnusable, DependencyMissing, Unsupported, RegistryDenied,
    RegistryNotFound, RegistryUnavailable.
    """

    def __init__(self, url: str, cache: PackageCache) -> None:
        self.url = url.rstrip("/")
        self._files = RemoteFiles(self.url)
        self._cache = cache
        self._note = CacheNote(cache.root, url=self.url)

    def fetch(self) -> CachedPackage:
        """A local copy of what is there now, verified; nothing is copied where the cache has it."""
        kept, download = self._look()
        package = self._cache.fetch(kept.identity, kept.name, download, digest=kept.digest)
        self._note.write(seen_at=datetime.now(UTC), identity=kept.identity, name=kept.name, digest=kept.digest)
        return package

    def fetch_or_recall(self) -> CachedPackage:
        """The same; where the store cannot be asked, what was there the last time, if the cache still has it."""
        try:
            return self.fetch()
        except (RegistryUnavailable, RegistryDenied) as error:
            found = self._note.read(_parse)
            if found is None:
                raise
            kept, seen_at = found
            package = self._cache.fetch(kept.identity, kept.name, partial(_refuse, error), digest=kept.digest)
            log.warning(
                "%s cannot be reached; using the package cached on %s UTC. %s",
                self.url,
                f"{seen_at:%Y-%m-%d %H:%M:%S}",
                error,
            )
            return package

    def _look(self) -> tuple[_Kept, Callable[[Path], None]]:
        """What is there, and how to copy it."""
        try:
            seal = self._files.read(f"{self.url}/{SEAL}", SEAL_LIMIT)
        except PackageNotFound:
            return self._look_by_listing()
        if not any(line.endswith(f"  {MANIFEST}".encode()) for line in seal.splitlines()):
            raise PackageNotFound(f"There is no package at {self.url}: its {SEAL} does not list an {MANIFEST} file.")
        digest = hashlib.sha256(seal).hexdigest()
        return (
            _Kept(identity_of(digest), digest[:12], digest),
            lambda target: download_sealed(self._files, self.url, digest, target, self._download()),
        )

    def _look_by_listing(self) -> tuple[_Kept, Callable[[Path], None]]:
        try:
            files = self._files.files_below(self.url)
        except PackageNotFound:  # some drivers say so of an empty place, and of a missing bucket
            files = {}
        if not files:
            raise PackageNotFound(
                f"There is no package at {self.url}: the place is empty or does not exist.",
                hint="Check the bucket's name and the path.",
            )
        if MANIFEST not in files:
            below = sorted(name.removesuffix(f"/{MANIFEST}") for name in files if name.endswith(f"/{MANIFEST}"))
            raise PackageNotFound(
                f"There is no package at {self.url}: the directory has no {MANIFEST} file.",
                hint=f"There is a package at {self.url}/{below[0]}" if below else "",
            )
        marks = fingerprint(files)
        last = self.url.rpartition("/")[2]
        name = last if _NAME.fullmatch(last) and last not in _TAKEN else "package"
        return _Kept(("listing", marks, self.url), name, None), partial(self._copy, marks)

    def _copy(self, marks: str, target: Path) -> None:
        self._files.copy(self.url, target, self._download())
        if fingerprint(self._files.files_below(self.url)) != marks:
            raise RegistryUnavailable(f"{self.url} changed while Penstock copied the package.", hint="Try again.")

    def _download(self) -> Download:
        return Download(self.url, self._cache.max_package_size)

    def __repr__(self) -> str:
        return f"<RemotePackage at {self.url}>"


def fingerprint(files: Mapping[str, Listed]) -> str:
    """Another one once a file is, as far as the store tells."""
    lines = sorted(f"{name}\t{listed.size}\t{listed.mark}" for name, listed in files.items())
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _refuse(error: Exception, target: Path) -> None:
    raise error


def _parse(kept: dict[str, Any]) -> tuple[_Kept, datetime]:
    digest = kept["digest"]
    found = _Kept(tuple(map(str, kept["identity"])), str(kept["name"]), None if digest is None else str(digest))
    return found, datetime.fromisoformat(kept["seen_at"])
