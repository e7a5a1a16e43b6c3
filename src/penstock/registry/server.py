"""The registry at an `http://…` address, of which it is found out by use whether it is a hub or an MLflow server.

Nothing is asked when it is opened. A server that is away says neither, and is asked again; what was fetched from it
before is in the cache all the same.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from penstock.artifacts import ArtifactStore, CachedPackage, PackageCache
from penstock.mlflow_api.client import MlflowRestClient
from penstock.mlflow_api.search.paging import Page
from penstock.mlflow_credentials import MlflowCredentials
from penstock.registry.entries import (
    ModelChange,
    ModelKey,
    ModelQuery,
    ModelVersion,
    NewVersion,
    PackageFacts,
    RegisteredModel,
    Stage,
    VersionQuery,
)
from penstock.registry.history import AliasMove
from penstock.registry.hub.store import HubRegistry
from penstock.registry.interface import PRODUCTION, Registry
from penstock.registry.mlflow.store import MlflowRegistry
from penstock.signature import Signature

T = TypeVar("T")


class ServerRegistry(Registry):
    """See `Registry`: each method is that of the HubRegistry or the MlflowRegistry at the address, and raises
    RegistryUnavailable until the server has said which of them it is."""

    def __init__(self, server: MlflowRestClient, cache: PackageCache, *, read_only: bool = False) -> None:
        super().__init__(artifact_root=server.place, cache=cache)
        self._server = server
        self._hub = HubRegistry(server, cache, read_only=read_only)
        self._mlflow = MlflowRegistry(server, cache, read_only=read_only)
        self._asking = threading.Lock()
        # The whole mutable state: what the server is, None until it has said so.
        self._found: Registry | None = None

    def __repr__(self) -> str:
        return f"<ServerRegistry {self._found or self._server.place}>"

    def backend(self) -> Registry:
        """What the server is, asked once. Raises RegistryUnavailable."""
        if self._found is None:
            with self._asking:
                if self._found is None:
                    self._found = self._hub if self._server.is_hub() else self._mlflow
        return self._found

    @property
    def place(self) -> str:
        return self._server.place

    @property
    def guards_aliases(self) -> bool:  # type: ignore[override]  # known by use, where others know it by class
        """Of a server that has not said what it is, nobody knows it."""
        return self._found is not None and self._found.guards_aliases

    @property
    def describes_packages(self) -> bool:  # type: ignore[override]
        return self.backend().describes_packages

    # -- reading -----------------------------------------------------------------------------------------------------

    def models(self) -> list[RegisteredModel]:
        return self.backend().models()

    def model(self, name: str) -> RegisteredModel:
        return self.backend().model(name)

    def versions(self, name: str) -> list[ModelVersion]:
        return self.backend().versions(name)

    def version(self, name: str, version: str) -> ModelVersion:
        return self.backend().version(name, version)

    def history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        return self.backend().history(name, alias)

    def resolve(self, name: str, alias: str = PRODUCTION) -> ModelVersion:
        return self.backend().resolve(name, alias)

    def search(self, pattern: str, alias: str = PRODUCTION) -> dict[str, str]:
        return self.backend().search(pattern, alias)

    def latest(self, name: str) -> ModelVersion:
        return self.backend().latest(name)

    def find_models(self, query: ModelQuery) -> Page[RegisteredModel]:
        return self.backend().find_models(query)

    def find_versions(self, query: VersionQuery) -> Page[ModelVersion]:
        return self.backend().find_versions(query)

    def latest_of_stages(self, names: Sequence[str]) -> dict[str, list[ModelVersion]]:
        return self.backend().latest_of_stages(names)

    def changes(self, name: str) -> list[ModelChange]:
        return self.backend().changes(name)

    def containing(self, path: str, *, within: bool = False) -> ModelVersion | None:
        return self.backend().containing(path, within=within)

    def key_of(self, name: str) -> ModelKey:
        return self.backend().key_of(name)

    def aliases_state(self) -> str:
        return self.backend().aliases_state()

    def wait_for_aliases(self, state: str, seconds: float) -> str:
        return self.backend().wait_for_aliases(state, seconds)

    def signature(self, version: ModelVersion) -> Signature | None:
        return self.backend().signature(version)

    def known(self, version: ModelVersion) -> ModelVersion:
        return self._hub.known(version)

    def fetch(self, version: ModelVersion) -> CachedPackage:
        """Without asking what the server is: the package may be in the cache, and the server away."""
        return self._hub.fetch(version)

    def fetch_uri(self, uri: str) -> CachedPackage:
        return self._hub.fetch_uri(uri)

    # -- writing -----------------------------------------------------------------------------------------------------

    def register(self, name: str, new: NewVersion) -> ModelVersion:
        return self.backend().register(name, new)

    def create_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None, by: str = ""
    ) -> RegisteredModel:
        return self.backend().create_model(name, description=description, tags=tags, by=by)

    def describe(self, name: str, description: str, version: str | None = None, *, by: str = "") -> None:
        self.backend().describe(name, description, version, by=by)

    def set_stage(
        self, name: str, version: str, stage: Stage, *, archive_existing: bool = False, by: str = ""
    ) -> ModelVersion:
        return self.backend().set_stage(name, version, stage, archive_existing=archive_existing, by=by)

    def rename(self, name: str, new_name: str, *, by: str = "") -> RegisteredModel:
        return self.backend().rename(name, new_name, by=by)

    def change_files(self, path: str, change: Callable[[], T], *, within: bool = False) -> T:
        return self.backend().change_files(path, change, within=within)

    def await_changes(self) -> None:
        self.backend().await_changes()

    def record_package(
        self, model: str | ModelKey, version: str, facts: PackageFacts | None, *, message: str = ""
    ) -> ModelVersion:
        return self.backend().record_package(model, version, facts, message=message)

    def unfinished(self) -> list[tuple[ModelKey, ModelVersion]]:
        return self.backend().unfinished()

    def promote(
        self,
        name: str,
        version: str,
        alias: str = PRODUCTION,
        *,
        by: str,
        reason: str = "",
        allow_breaking: bool = False,
    ) -> AliasMove:
        backend = self.backend()
        return backend.promote(name, version, alias, by=by, reason=reason, allow_breaking=allow_breaking)

    def rollback(self, name: str, alias: str = PRODUCTION, *, by: str, reason: str = "") -> AliasMove:
        return self.backend().rollback(name, alias, by=by, reason=reason)

    def remove_alias(self, name: str, alias: str, *, by: str, reason: str = "") -> AliasMove:
        return self.backend().remove_alias(name, alias, by=by, reason=reason)

    def set_tag(self, name: str, key: str, value: str, version: str | None = None, *, by: str = "") -> None:
        self.backend().set_tag(name, key, value, version, by=by)

    def delete_tag(self, name: str, key: str, version: str | None = None, *, by: str = "") -> None:
        self.backend().delete_tag(name, key, version, by=by)

    def delete(self, name: str, version: str | None = None, *, with_aliases: bool = False, by: str = "") -> None:
        self.backend().delete(name, version, with_aliases=with_aliases, by=by)

    def package_store(self) -> ArtifactStore:
        return self.backend().package_store()

    def require_registering(self) -> None:
        self.backend().require_registering()

    def migrate(self) -> str:
        return self.backend().migrate()

    def close(self) -> None:
        self._server.close()


def open_server(url: str, *, read_only: bool = False, cache: PackageCache) -> ServerRegistry:
    """The server at a URL, with the credentials that MLflow's own variables hold. Raises ConfigError."""
    server = MlflowRestClient(url, MlflowCredentials.from_environ(os.environ))
    return ServerRegistry(server, cache, read_only=read_only)
