"""Where registered packages are kept: put in once by digest, fetched by digest, verified on the way out."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from penstock.artifacts.cache import PackageCache, default_cache
from penstock.artifacts.cached_package import CachedPackage
from penstock.artifacts.remote import RemoteStore
from penstock.errors import (
    PackageError,
    PackageExists,
    PackageNotFound,
    PackagingFailed,
    RegistryReadOnly,
    SealBroken,
)
from penstock.package import PackagedModel
from penstock.package.directory import new_directory
from penstock.package.seal import list_files, write_seal


class ArtifactStore(Protocol):
    """Packages under keys like `<model name>/<digest>`. A store elsewhere may also raise RegistryDenied,
    RegistryUnavailable and DependencyMissing."""

    def put(self, package: PackagedModel, key: str) -> None:
        """Copies the package in and seals the copy; one that is there already is kept. Raises RegistryReadOnly."""

    def fetch(self, key: str, digest: str | None) -> CachedPackage:
        """A local directory with the package, verified. Raises PackageNotFound, SealBroken."""

    def remove(self, key: str) -> None:
        """Deletes the package; one that is not there is no error. Raises RegistryReadOnly."""


def open_store(url: str, cache: PackageCache | None = None) -> ArtifactStore:
    """The store at a directory, a file: URL, or a URL that fsspec knows; `cache` keeps what is fetched from the last.
    Connects to nothing."""
    if "://" in url and not url.startswith("file:"):
        return RemoteStore(url, cache or PackageCache(default_cache()))
    return LocalStore(url)


def fetch_package(source: str, digest: str | None, cache: PackageCache | None = None) -> CachedPackage:
    """The package at a path or URL as a local directory, verified.

    Raises PackageNotFound, SealBroken, and for URLs CacheUnusable, DependencyMissing, Unsupported, RegistryDenied,
    RegistryUnavailable.
    """
    root, slash, key = source.rstrip("/").rpartition("/")
    return open_store(root or slash or ".", cache).fetch(unquote(key) if source.startswith("file:") else key, digest)


class LocalStore:
    """A directory on this machine. Packages are used where they lie."""

    def __init__(self, root: str) -> None:
        self.root = Path(unquote(urlsplit(root).path)) if root.startswith("file:") else Path(root)

    def put(self, package: PackagedModel, key: str) -> None:
        target = self.root / key
        if target.exists():
            if _matches(target, package.digest):
                return
            self.remove(key)  # damaged since: the copy at hand is verified, so it replaces it
        try:
            with new_directory(target) as directory:
                for name in list_files(package.path):
                    (directory / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(package.path / name, directory / name)
                if write_seal(directory) != package.digest:
                    raise SealBroken(f"The package {package.path} changed while Penstock copied the package.")
        except PackageExists:
            if not _matches(target, package.digest):
                raise
        except (OSError, PackagingFailed) as error:
            cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
            if isinstance(cause, OSError) and cause.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise RegistryReadOnly(
                    f"{self.root} is read-only.",
                    hint="Register the package from a machine where the directory is writable.",
                ) from error
            raise

    def fetch(self, key: str, digest: str | None) -> CachedPackage:
        path = (self.root / key).absolute()
        if not path.exists():
            raise PackageNotFound(f"The package no longer exists at {path}.")
        package = PackagedModel.open(path)
        package.verify()
        if digest is not None and package.digest != digest:
            raise SealBroken(
                f"{path} is not the registered package: its digest is {package.digest[:12]}, expected {digest[:12]}."
            )
        return CachedPackage(path)

    def remove(self, key: str) -> None:
        try:
            shutil.rmtree(self.root / key)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RegistryReadOnly(f"{self.root / key} cannot be removed: {error.strerror}.") from error

    def __repr__(self) -> str:
        return f"<LocalStore {self.root}>"


def _matches(path: Path, digest: str) -> bool:
    try:
        package = PackagedModel.open(path)
        package.verify()
    except PackageError:  # gone, changed, or not readable any more
        return False
    return package.digest == digest
