"""Packages in an object store: `s3://…` and whatever else fsspec has a driver for.

A package is there when its seal is: that is uploaded last, and removed first. It lists every file with its hash, and
its own hash is the package's digest. So a package is read without asking the store for a listing, and nothing is
taken from it that was not registered.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from penstock.artifacts.cache import PackageCache
from penstock.artifacts.cached_package import CachedPackage
from penstock.artifacts.remote_files import RemoteFiles
from penstock.errors import PackageNotFound, SealBroken
from penstock.package import PackagedModel
from penstock.package.seal import SEAL, listing
from penstock.storage.download import Download

SEAL_LIMIT = 16 * 1024 * 1024

# The directory of a package of which neither name nor digest is known.
_NAMELESS = "package"


class RemoteStore:
    """A prefix of a bucket. Packages are copied into the cache to be used."""

    def __init__(self, url: str, cache: PackageCache) -> None:
        self.url = url.rstrip("/")
        self._files = RemoteFiles(self.url)
        self._cache = cache

    def put(self, package: PackagedModel, key: str) -> None:
        """Uploads the package, its seal last. Whoever is killed on the way leaves files that nobody takes for one."""
        url = f"{self.url}/{key}"
        if self._is_complete(package, url):
            return
        self._files.remove(f"{url}/{SEAL}")
        for name, expected in package.hashes.items():
            if self._files.upload(package.path / name, f"{url}/{name}") != expected:
                raise SealBroken(f"The package {package.path} changed while Penstock copied the package.")
        self._files.write(listing(package.hashes), f"{url}/{SEAL}")

    def fetch(self, key: str, digest: str | None) -> CachedPackage:
        url = f"{self.url}/{key}"
        if digest is None:
            return self._cache.fetch(
                (url,), _NAMELESS, lambda target: self._files.copy(url, target, self._download(url))
            )
        # By content alone: what two registries have both, or one under two names, is kept once.
        return self._cache.fetch(
            identity_of(digest),
            digest[:12],
            lambda target: download_sealed(self._files, url, digest, target, self._download(url)),
            digest=digest,
        )

    def _download(self, url: str) -> Download:
        return Download(url, self._cache.max_package_size)

    def remove(self, key: str) -> None:
        url = f"{self.url}/{key}"
        self._files.remove(f"{url}/{SEAL}")
        for name in self._files.files_below(url):
            self._files.remove(f"{url}/{name}")

    def _is_complete(self, package: PackagedModel, url: str) -> bool:
        """Whether the package is there: its seal, and every file in its size. What is inside is checked when it is
        fetched."""
        try:
            if self._files.read(f"{url}/{SEAL}", SEAL_LIMIT) != listing(package.hashes):
                return False
        except PackageNotFound:
            return False
        sizes = {name: listed.size for name, listed in self._files.files_below(url).items()}
        return all(sizes.get(name) == (package.path / name).stat().st_size for name in package.hashes)

    def __repr__(self) -> str:
        return f"<RemoteStore {self.url}>"


def identity_of(digest: str) -> tuple[str, str]:
    """What a package of a known digest is kept as in the cache, wherever it came from."""
    return ("package", digest)


def download_sealed(files: RemoteFiles, url: str, digest: str, target: Path, download: Download) -> None:
    """Copies what the seal at a URL lists, and nothing else. Raises SealBroken where it is not the one of that digest,
    or a file not what it lists."""
    seal = files.read(f"{url}/{SEAL}", SEAL_LIMIT)
    if hashlib.sha256(seal).hexdigest() != digest:
        raise SealBroken(f"{url} is damaged or another package: its {SEAL} does not match the digest {digest[:12]}.")
    (target / SEAL).write_bytes(seal)
    for line in seal.decode("utf-8", "replace").splitlines():
        expected, _, name = line.partition("  ")
        if files.download(url, name, target, download) != expected:
            raise SealBroken(
                f"{url}/{name} does not match the seal: the file is damaged, truncated or another file.",
                hint="Delete the package there and register it again, which uploads it again.",
            )
