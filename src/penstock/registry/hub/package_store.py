"""The hub's artifacts as a store of packages: sent file by file, the seal last, and there once a version says so."""

from __future__ import annotations

import io
from urllib.parse import quote

from penstock.artifacts import CachedPackage
from penstock.errors import (
    ArtifactRegistered,
    PackageError,
    PackageInvalid,
    RegistryDenied,
    RegistryReadOnly,
    RegistryRefused,
    Unsupported,
)
from penstock.mlflow_api.client import MlflowRestClient
from penstock.package import PackagedModel
from penstock.package.seal import SEAL, listing
from penstock.registry.hub.forms import ARTIFACTS
from penstock.storage.download import Download

_MAX_ENTRIES = 20_000


class HubPackageStore:
    """Packages under keys like `<model name>/<digest>`, below the hub's artifacts. May raise RegistryDenied,
    RegistryUnavailable."""

    def __init__(self, server: MlflowRestClient, *, read_only: bool) -> None:
        self._server = server
        self._read_only = read_only

    def put(self, package: PackagedModel, key: str) -> None:
        """Whoever is cut off on the way leaves files that no version names, and that the next one replaces. Of two who
        bring the same package one may register it while the other is at it; both are done then. Raises
        ArtifactRegistered where a version has other files there."""
        self._refuse_if_read_only()
        url = self._url(key)
        if self._is_complete(package, url):
            return
        try:
            for name in package.hashes:
                path = package.path / name
                with path.open("rb") as file:
                    self._server.upload_artifact(_below(url, name), file, path.stat().st_size)
            seal = listing(package.hashes)
            self._server.upload_artifact(_below(url, SEAL), io.BytesIO(seal), len(seal))
        except RegistryRefused as error:
            if error.status == 409 and self._is_complete(package, url):
                return
            raise _refused(error) from None

    def fetch(self, key: str, digest: str | None) -> CachedPackage:
        raise Unsupported("A package of a hub is fetched as that of a version.")

    def remove(self, key: str) -> None:
        """What is not there is gone already, and what another version has stays."""
        self._refuse_if_read_only()
        try:
            self._server.remove_artifact(self._url(key))
        except RegistryRefused as error:
            if error.status not in (404, 409):
                raise _refused(error) from None

    def _url(self, key: str) -> str:
        return self._server.artifact_url(f"{ARTIFACTS}/{quote(key)}")

    def _is_complete(self, package: PackagedModel, url: str) -> bool:
        """Whether the package is there: its seal, and every file in its size. What is inside the hub reads when the
        version is registered."""
        sizes = self._sizes(url)
        expected = {name: (package.path / name).stat().st_size for name in package.hashes}
        if any(sizes.get(name) != size for name, size in expected.items()) or SEAL not in sizes:
            return False
        content = listing(package.hashes)
        found = bytearray()
        try:
            for piece in self._server.read_artifact(_below(url, SEAL), Download(url).time_left):
                found += piece
                if len(found) > len(content):
                    return False
        except RegistryRefused:  # it is just being removed
            return False
        return bytes(found) == content

    def _sizes(self, url: str) -> dict[str, int]:
        """Every file's size, by relative path."""
        pending, found = [""], dict[str, int]()
        entries = 0
        while pending:
            below = pending.pop()
            for entry in self._server.list_artifacts(_below(url, below)):
                path = f"{below}/{entry.get('path')}".lstrip("/")
                entries += 1
                if entries > _MAX_ENTRIES:
                    raise PackageInvalid(f"The directory {url} has too many files for a package.")
                if entry.get("is_dir"):
                    pending.append(path)
                else:
                    found[path] = int(entry.get("file_size", -1))
        return found

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise RegistryReadOnly(f"The registry at {self._server.place} was opened for reading only.")

    def __repr__(self) -> str:
        return f"<HubPackageStore {self._server.place}>"


def _below(url: str, name: str) -> str:
    return f"{url}/{quote(name)}" if name else url


def _refused(error: RegistryRefused) -> ArtifactRegistered | PackageError | RegistryDenied:
    if error.status == 409:
        return ArtifactRegistered(error.message, hint="Delete the version that has these files first.")
    return PackageInvalid(f"The hub does not take the package: {error.message}")
