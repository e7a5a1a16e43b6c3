"""The packages of an MLflow server's versions: fetched to this machine, kept in its cache, and what they say."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from penstock.artifacts import CachedPackage, PackageCache
from penstock.errors import DependencyMissing, PackageError, RegistryDenied, Unsupported
from penstock.manifest import Manifest
from penstock.mlflow_api.artifact_sources import ArtifactSources
from penstock.mlflow_api.client import MlflowRestClient
from penstock.registry.entries import ModelVersion
from penstock.registry.mlflow.answers import with_package
from penstock.registry.names import usable_name
from penstock.signature import Signature
from penstock.storage.download import Download

log = logging.getLogger("penstock.registry")


class MlflowPackages:
    """Raises PackageNotFound, PackageInvalid, CacheUnusable, Unsupported, and what reading the registry raises."""

    def __init__(self, server: MlflowRestClient, cache: PackageCache) -> None:
        self._server = server
        self._cache = cache
        self._sources = ArtifactSources(server)

    def signature(self, version: ModelVersion) -> Signature | None:
        """From the version's MLmodel file; None where that cannot be read here."""
        try:
            place = self._sources.locate(self._sources.download_uri(version.name, version.version))
            return Manifest.parse(self._sources.manifest(place)).signature
        except (Unsupported, DependencyMissing, RegistryDenied) as error:
            log.warning("The signature of %s version %s is unknown. %s", version.name, version.version, error.message)
            return None

    def fetch(self, version: ModelVersion) -> CachedPackage:
        """From the cache, by this server's address, name, version and creation time; downloaded where it is not
        there."""

        def download(target: Path) -> None:
            place = self._sources.locate(self._sources.download_uri(version.name, version.version))
            self._sources.download(place, target, Download(place, self._cache.max_package_size))

        return self._cache.fetch(*self._cached_as(version), download)

    def known(self, version: ModelVersion) -> ModelVersion:
        """MLflow's server keeps none of these: they are those of the package, where it was fetched to this machine."""
        cached = self._cache.known(*self._cached_as(version))
        try:
            return version if cached is None else with_package(version, *cached)
        except PackageError:  # nobody could load it; what the server says of it can be shown
            return version

    def fetch_uri(self, uri: str) -> CachedPackage:
        """A logged model, a run's artifact, a path on the server. Cached by its place and its manifest."""
        place = self._sources.locate(uri)
        manifest = hashlib.sha256(self._sources.manifest(place)).hexdigest()
        name = usable_name(uri.rstrip("/").rpartition("/")[2])
        return self._cache.fetch(
            (self._server.place, place, manifest),
            name,
            lambda target: self._sources.download(place, target, Download(place, self._cache.max_package_size)),
        )

    def _cached_as(self, version: ModelVersion) -> tuple[tuple[str, ...], str]:
        identity = (self._server.place, version.name, version.version, version.created_at.isoformat())
        return identity, f"{usable_name(version.name)}-{version.version}"

    def __repr__(self) -> str:
        return f"<MlflowPackages of {self._server.place}>"
