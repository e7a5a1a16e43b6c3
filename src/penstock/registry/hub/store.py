"""HubRegistry: the registry of a hub, asked over the hub's own REST.

What must be decided together is decided by the hub, in its registry: a promotion is one call, which compares
signatures there, a rollback is one, and who did it is the name of the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock.artifacts import ArtifactStore, CachedPackage, PackageCache
from penstock.artifacts.remote import identity_of
from penstock.mlflow_api.artifact_sources import ArtifactSources
from penstock.mlflow_api.client import MlflowRestClient
from penstock.mlflow_api.search.paging import Page
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
from penstock.registry.hub.calls import HubCalls
from penstock.registry.hub.forms import ARTIFACTS, change_of, model_of, move_of, new_version_form, version_of
from penstock.registry.hub.package_store import HubPackageStore
from penstock.registry.interface import PRODUCTION, Registry
from penstock.registry.mlflow.packages import MlflowPackages
from penstock.registry.names import check_alias
from penstock.signature import Signature
from penstock.storage.download import Download

Answer = Mapping[str, Any]


class HubRegistry(Registry):
    """See `Registry`. Packages lie with the hub, or where it says; `cache` has our copies. Holds no state."""

    def __init__(self, server: MlflowRestClient, cache: PackageCache, *, read_only: bool = False) -> None:
        super().__init__(artifact_root=ARTIFACTS, cache=cache)
        self._server = server
        self._read_only = read_only
        self._calls = HubCalls(server, read_only=read_only)
        self._sources = ArtifactSources(server)
        self._packages = MlflowPackages(server, self.cache)

    def __repr__(self) -> str:
        return f"<HubRegistry {self._server.place}>"

    @property
    def place(self) -> str:
        return self._server.place

    # -- reading -----------------------------------------------------------------------------------------------------

    def models(self) -> list[RegisteredModel]:
        found: list[RegisteredModel] = []
        more = True
        while more:
            page, more = self._calls.ask("models/list", _models, after=found[-1].name if found else "")
            found += page
        return found

    def model(self, name: str) -> RegisteredModel:
        return self._calls.ask("models/get", _model, name=name)

    def versions(self, name: str) -> list[ModelVersion]:
        found: list[ModelVersion] = []
        more = True
        while more:
            page, more = self._calls.ask("versions/list", _versions, name=name, after=found[-1].version if found else 0)
            found += page
        return found

    def version(self, name: str, version: str) -> ModelVersion:
        return self._calls.ask("versions/get", _version, name=name, version=version)

    def history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        return self._calls.ask(
            "models/history", lambda a: [move_of(each) for each in a["moves"]], name=name, alias=alias
        )

    def resolve(self, name: str, alias: str = PRODUCTION) -> ModelVersion:
        return self._calls.ask("versions/resolve", _version, name=name, alias=alias)

    def search(self, pattern: str, alias: str = PRODUCTION) -> dict[str, str]:
        def read(answer: Answer) -> dict[str, str]:
            return {str(name): str(number) for name, number in answer["versions"].items()}

        return self._calls.ask("models/matching", read, pattern=pattern, alias=alias)

    def latest(self, name: str) -> ModelVersion:
        return self._calls.ask("versions/latest", _version, name=name)

    def find_models(self, query: ModelQuery) -> Page[RegisteredModel]:
        return self._calls.ask("models/search", lambda a: _page(a, "models", model_of), **_searched(query))

    def find_versions(self, query: VersionQuery) -> Page[ModelVersion]:
        return self._calls.ask("versions/search", lambda a: _page(a, "versions", version_of), **_searched(query))

    def latest_of_stages(self, names: Sequence[str]) -> dict[str, list[ModelVersion]]:
        def read(answer: Answer) -> dict[str, list[ModelVersion]]:
            return {str(name): [version_of(each) for each in found] for name, found in answer["latest"].items()}

        return self._calls.ask("models/latest-of-stages", read, name=list(names)) if names else {}

    def changes(self, name: str) -> list[ModelChange]:
        return self._calls.ask("models/changes", lambda a: [change_of(each) for each in a["changes"]], name=name)

    def containing(self, path: str, *, within: bool = False) -> ModelVersion | None:
        def read(answer: Answer) -> ModelVersion | None:
            return None if answer["version"] is None else version_of(answer["version"])

        return self._calls.ask("versions/containing", read, path=path, within="true" if within else "false")

    def aliases_state(self) -> str:
        return self._calls.ask("aliases/state", _state)

    def wait_for_aliases(self, state: str, seconds: float) -> str:
        return self._calls.ask("aliases/state", _state, wait=seconds, after=state, seconds=seconds)

    def signature(self, version: ModelVersion) -> Signature | None:
        """Of a version whose files the hub does not read, from its MLmodel file."""
        if version.digest is not None or version.signature is not None:
            return super().signature(version)
        return self._packages.signature(version)

    def known(self, version: ModelVersion) -> ModelVersion:
        return version if version.digest is not None else self._packages.known(version)

    def fetch(self, version: ModelVersion) -> CachedPackage:
        """From the cache, by the digest; downloaded where it is not there. A version without a digest is known by its
        name, number and time."""
        if version.digest is None:
            return self._packages.fetch(version)

        def download(target: Any) -> None:
            place = self._sources.locate(self._sources.download_uri(version.name, version.version))
            self._sources.download(place, target, Download(place, self.cache.max_package_size))

        return self.cache.fetch(identity_of(version.digest), version.digest[:12], download, digest=version.digest)

    def fetch_uri(self, uri: str) -> CachedPackage:
        return self._packages.fetch_uri(uri)

    # -- writing -----------------------------------------------------------------------------------------------------

    def package_store(self) -> ArtifactStore:
        return HubPackageStore(self._server, read_only=self._read_only)

    def record_package(
        self, model: str | ModelKey, version: str, facts: PackageFacts | None, *, message: str = ""
    ) -> ModelVersion:
        if not isinstance(model, str):
            raise self._unsupported("keys of models")
        if facts is None:
            raise self._unsupported("ending a registration")
        return self._calls.change(
            "versions/record-package",
            _version,
            name=model,
            version=version,
            digest=facts.digest,
            signature=None if facts.signature is None else dict(facts.signature),
            flavors=list(facts.flavors),
            size_bytes=facts.size_bytes,
        )

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
        check_alias(alias)
        told: dict[str, Any] = {"version": version, "allow_breaking": allow_breaking}
        return self._calls.change("aliases/promote", _move, name=name, alias=alias, by=by, reason=reason, **told)

    def rollback(self, name: str, alias: str = PRODUCTION, *, by: str, reason: str = "") -> AliasMove:
        return self._calls.change("aliases/rollback", _move, name=name, alias=alias, by=by, reason=reason)

    def remove_alias(self, name: str, alias: str, *, by: str, reason: str = "") -> AliasMove:
        return self._calls.change("aliases/remove", _move, name=name, alias=alias, by=by, reason=reason)

    def migrate(self) -> str:
        return f"The hub at {self._server.place} sees to its tables itself."

    def close(self) -> None:
        self._server.close()

    def _require(self, name: str, version: str | None) -> None:
        """The hub looks, in the call that changes it."""

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        told = new_version_form(new)
        by = new.registered_by
        return self._calls.change("versions/register", _version, slow=True, name=name, by=by, **told)

    def _insert_model(self, name: str, description: str, tags: dict[str, str], *, at: datetime, by: str) -> None:
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        self._calls.change("models/create", _nothing, name=name, description=description, tags=pairs, by=by)

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None, *, at: datetime, by: str) -> None:
        self._calls.change("tags/set", _nothing, name=name, version=version, key=key, value=value, by=by)

    def _write_description(self, name: str, version: str | None, description: str, *, at: datetime, by: str) -> None:
        self._calls.change("descriptions/set", _nothing, name=name, version=version, description=description, by=by)

    def _write_stage(
        self, name: str, version: str, stage: Stage, *, archive_existing: bool, at: datetime, by: str
    ) -> None:
        told: dict[str, Any] = {"stage": stage, "archive_existing": archive_existing}
        self._calls.change("versions/set-stage", _nothing, name=name, version=version, by=by, **told)

    def _rename(self, name: str, new_name: str, *, at: datetime, by: str) -> None:
        self._calls.change("models/rename", _nothing, name=name, new_name=new_name, by=by)

    def _delete(self, name: str, version: str | None, *, with_aliases: bool, at: datetime, by: str) -> None:
        self._calls.change("models/delete", _nothing, name=name, version=version, with_aliases=with_aliases, by=by)


def _model(answer: Answer) -> RegisteredModel:
    return model_of(answer["model"])


def _version(answer: Answer) -> ModelVersion:
    return version_of(answer["version"])


def _models(answer: Answer) -> tuple[list[RegisteredModel], bool]:
    found = [model_of(each) for each in answer["models"]]
    return found, bool(found and answer["more"])


def _versions(answer: Answer) -> tuple[list[ModelVersion], bool]:
    found = [version_of(each) for each in answer["versions"]]
    return found, bool(found and answer["more"])


def _move(answer: Answer) -> AliasMove:
    return move_of(answer["move"])


def _state(answer: Answer) -> str:
    return str(answer["state"])


def _nothing(answer: Answer) -> None:
    return None


def _page(answer: Answer, key: str, read: Any) -> Page[Any]:
    return Page(tuple(read(each) for each in answer[key]), str(answer["next_page_token"]))


def _searched(query: ModelQuery | VersionQuery) -> dict[str, Any]:
    return {
        "filter": query.filter,
        "order_by": list(query.order_by),
        "max_results": query.limit,
        "page_token": query.page_token,
    }
