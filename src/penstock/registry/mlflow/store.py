"""MlflowRegistry: the model registry of an MLflow tracking server, read over HTTP.

Aliases are MLflow's. Where no alias of that name exists, a stage is read as one: `production`, `staging`, `archived`.
What its REST has can be changed: models, versions by their URI, descriptions, stages, names, aliases and tags. It
keeps no history and no packages of ours, and what is deleted is MLflow's own business.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from penstock.artifacts import CachedPackage, PackageCache
from penstock.errors import ModelNotFound, RegistryError, Unsupported, remedy
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
from penstock.registry.history import AliasMove, NewMove
from penstock.registry.interface import PRODUCTION, Registry
from penstock.registry.mlflow.answers import (
    aliases_and_stages,
    model_version,
    own_aliases,
    registered_model,
    require_ready,
    tags_of,
)
from penstock.registry.mlflow.asking import MlflowEntries
from penstock.registry.mlflow.changing import MlflowChanges, unregistrable
from penstock.registry.mlflow.packages import MlflowPackages
from penstock.registry.mlflow.searching import MlflowSearches
from penstock.registry.refusals import no_alias, refuse_if_moved
from penstock.signature import Signature

log = logging.getLogger("penstock.registry")


class MlflowRegistry(Registry):
    """See `Registry`. `server.place` stands in for an artifact root: MLflow keeps the packages, `cache` our copies."""

    guards_aliases: ClassVar[bool] = False
    describes_packages: ClassVar[bool] = False

    def __init__(
        self,
        server: MlflowRestClient,
        cache: PackageCache,
        *,
        read_only: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(artifact_root=server.place, cache=cache, clock=clock)
        self._server = server
        self._entries = MlflowEntries(server, monotonic)
        self._changes = MlflowChanges(server, read_only=read_only)
        self._searches = MlflowSearches(server, self._entries)
        self._packages = MlflowPackages(server, self.cache)

    def __repr__(self) -> str:
        return f"<MlflowRegistry {self._server.place}>"

    # -- reading -----------------------------------------------------------------------------------------------------

    def models(self) -> list[RegisteredModel]:
        """Prompts, which MLflow keeps among the models, are left out."""
        numbers: dict[str, list[int]] = {}
        with self._entries.expected():
            for version in self._entries.pages("model-versions/search", "model_versions"):
                numbers.setdefault(str(version["name"]), []).append(int(version["version"]))
            found = [
                registered_model(model, numbers.get(str(model["name"]), []))
                for model in self._entries.pages("registered-models/search", "registered_models")
                if tags_of(model).get("mlflow.prompt.is_prompt") != "true"
            ]
        return sorted(found, key=lambda model: model.name)

    def model(self, name: str) -> RegisteredModel:
        model = self._entries.model(name)
        with self._entries.expected():
            return registered_model(model, [int(v["version"]) for v in self._entries.versions_of(name)])

    def versions(self, name: str) -> list[ModelVersion]:
        with self._entries.expected():
            aliases = aliases_and_stages(self._entries.model(name))
            found = [model_version(data, aliases) for data in self._entries.versions_of(name)]
        return sorted(found, key=lambda version: int(version.version))

    def version(self, name: str, version: str) -> ModelVersion:
        model = self._entries.model(name)
        data = self._entries.version(name, version)
        with self._entries.expected():
            return model_version(data, aliases_and_stages(model))

    def resolve(self, name: str, alias: str = PRODUCTION) -> ModelVersion:
        """One request where an alias of that name exists; gateways ask this every few seconds."""
        data = self._entries.named(name, alias)
        with self._entries.expected():
            return require_ready(model_version(data), data)

    def search(self, pattern: str, alias: str = PRODUCTION) -> dict[str, str]:
        """A page holds a thousand models. The filter is the server's; some of them know no more than a beginning."""
        beginning = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        simple = re.fullmatch(r"[A-Za-z0-9 .\-]+", beginning)
        fields = {"filter": f"name LIKE '{beginning}%'"} if simple else {}
        with self._entries.expected():
            found = [
                (str(model["name"]), aliases_and_stages(model))
                for model in self._entries.pages("registered-models/search", "registered_models", **fields)
                if tags_of(model).get("mlflow.prompt.is_prompt") != "true"
            ]
        return {name: named[alias] for name, named in found if alias in named and fnmatchcase(name, pattern)}

    def latest(self, name: str) -> ModelVersion:
        model = self._entries.model(name)
        with self._entries.expected():
            numbers = [int(v["version"]) for v in model.get("latest_versions") or self._entries.versions_of(name)]
            if not numbers:
                raise ModelNotFound(f"Model {name!r} has no versions.")
            data = self._entries.of_latest(model, str(max(numbers)))
            return require_ready(model_version(data, aliases_and_stages(model)), data)

    def find_models(self, query: ModelQuery) -> Page[RegisteredModel]:
        return self._searches.models(query)

    def find_versions(self, query: VersionQuery) -> Page[ModelVersion]:
        return self._searches.versions(query)

    def latest_of_stages(self, names: Sequence[str]) -> dict[str, list[ModelVersion]]:
        found = {}
        for name in names:
            model = self._entries.model(name)
            with self._entries.expected():
                aliases = aliases_and_stages(model)
                latest = [model_version(data, aliases) for data in model.get("latest_versions", ())]
                found[name] = sorted(latest, key=lambda version: int(version.version))
        return found

    def changes(self, name: str) -> list[ModelChange]:
        raise Unsupported(
            "MLflow does not remember who changed what.",
            hint="Show the model to see how it is now.",
            remedy=remedy("show_model", model=name),
        )

    def containing(self, path: str, *, within: bool = False) -> ModelVersion | None:
        raise Unsupported(
            "An MLflow server does not find versions by their files.",
            hint="In Python: mlflow.MlflowClient().search_model_versions(\"source_path = 'URI'\")",
        )

    def history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        raise Unsupported(
            "MLflow keeps no history of aliases.",
            hint="Show the model to see its current aliases.",
            remedy=remedy("show_model", model=name),
        )

    def signature(self, version: ModelVersion) -> Signature | None:
        return self._packages.signature(version)

    def fetch(self, version: ModelVersion) -> CachedPackage:
        return self._packages.fetch(version)

    def known(self, version: ModelVersion) -> ModelVersion:
        return self._packages.known(version)

    def fetch_uri(self, uri: str) -> CachedPackage:
        return self._packages.fetch_uri(uri)

    # -- writing -----------------------------------------------------------------------------------------------------

    def require_registering(self) -> None:
        raise unregistrable("Register versions of an MLflow registry with MLflow itself.")

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        with self._entries.expected():
            number = self._changes.create_version(name, new)
        return self.version(name, number)

    def _insert_model(self, name: str, description: str, tags: dict[str, str], *, at: datetime, by: str) -> None:
        self._changes.create_model(name, description, tags)

    def _write_description(self, name: str, version: str | None, description: str, *, at: datetime, by: str) -> None:
        self._changes.describe(name, version, description)

    def _write_stage(
        self, name: str, version: str, stage: Stage, *, archive_existing: bool, at: datetime, by: str
    ) -> None:
        self._changes.set_stage(name, version, stage, archive_existing=archive_existing)

    def _rename(self, name: str, new_name: str, *, at: datetime, by: str) -> None:
        self._changes.rename(name, new_name)

    def record_package(
        self, model: str | ModelKey, version: str, facts: PackageFacts | None, *, message: str = ""
    ) -> ModelVersion:
        raise Unsupported(
            "An MLflow server keeps nothing of what a version's files say.",
            hint="Keep it in tags of the version.",
        )

    def rollback(self, name: str, alias: str = PRODUCTION, *, by: str, reason: str = "") -> AliasMove:
        raise Unsupported(
            "MLflow keeps no history of aliases, so a rollback is not possible.",
            hint="Promote the version that the alias should name.",
            remedy=remedy("promote", model=name, alias=alias),
        )

    def _move_alias(self, move: NewMove) -> AliasMove:
        name, alias = move.name, move.alias
        model = self._entries.model(name)
        before = own_aliases(model).get(alias)
        if move.to is None and before is None:
            raise self._only_a_stage(name, alias, model)
        # MLflow has no transactions for it.
        refuse_if_moved(name, alias, aliases_and_stages(model).get(alias), move.expected)
        if move.to is None:
            self._changes.remove_alias(name, alias)
        else:
            self._changes.set_alias(name, alias, move.to)
        if move.reason:
            log.warning("MLflow keeps no history: the reason is not kept.")
        return move.made(before)

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None, *, at: datetime, by: str) -> None:
        self._changes.tag(name, version, key, value)

    def _delete(self, name: str, version: str | None, *, with_aliases: bool, at: datetime, by: str) -> None:
        call = f"delete_registered_model({name!r})"
        if version is not None:
            call = f"delete_model_version({name!r}, {version!r})"
        raise Unsupported(
            "Delete models and versions of an MLflow registry with MLflow itself.",
            hint=f"In Python: mlflow.MlflowClient().{call}",
        )

    def migrate(self) -> str:
        raise Unsupported(
            "Penstock does not migrate the tables of an MLflow server.", hint="See: mlflow db upgrade --help"
        )

    def close(self) -> None:
        self._server.close()

    def _held(self, name: str, alias: str) -> set[str | None]:
        return set()  # nobody remembers

    @staticmethod
    def _only_a_stage(name: str, alias: str, model: Mapping[str, Any]) -> RegistryError:
        if alias not in aliases_and_stages(model):
            return no_alias(name, alias, own_aliases(model))
        return Unsupported(
            f"{alias!r} is a stage of model {name!r}, not an alias.",
            hint=f"In Python: mlflow.MlflowClient().transition_model_version_stage({name!r}, VERSION, 'None')",
        )
