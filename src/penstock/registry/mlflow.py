"""MlflowRegistry: the model registry of an MLflow tracking server, read over HTTP.

Aliases are MLflow's. Where no alias of that name exists, a stage is read as one: `production`, `staging`, `archived`.
Aliases and tags can be set and taken away; whatever else changes a registry is MLflow's own business.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

from penstock.artifacts import CachedPackage, PackageCache
from penstock.errors import (
    DependencyMissing,
    ModelNotFound,
    NameInvalid,
    PackageError,
    RegistryDenied,
    RegistryError,
    RegistryNotFound,
    RegistryReadOnly,
    RegistryRefused,
    RegistryUnavailable,
    Unsupported,
    VersionNotFound,
    remedy,
)
from penstock.manifest import Manifest
from penstock.mlflow_api.artifact_sources import ArtifactSources
from penstock.mlflow_api.client import LISTING_LIMIT, MlflowRestClient
from penstock.mlflow_api.credentials import MlflowCredentials
from penstock.registry.entries import ModelVersion, NewVersion, RegisteredModel
from penstock.registry.history import AliasMove, MoveKind
from penstock.registry.interface import PRODUCTION, Registry
from penstock.registry.mlflow_answers import (
    aliases_and_stages,
    model_version,
    own_aliases,
    registered_model,
    require_ready,
    tags_of,
    with_package,
)
from penstock.registry.names import usable_name
from penstock.registry.refusals import Expected, no_alias, no_version, refuse_if_moved
from penstock.signature import Signature
from penstock.storage.download import Download

log = logging.getLogger("penstock.registry")

# What the server's database holds as a version; anything else is not asked for.
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

_PAGE = 1000

# What all pages of a listing may have and take, together.
_MAX_ENTRIES = 200_000
_MAX_PAGES = 1000
_LISTING_SECONDS = 60.0


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
        self._sources = ArtifactSources(server)
        self._read_only = read_only
        self._monotonic = monotonic

    def __repr__(self) -> str:
        return f"<MlflowRegistry {self._server.place}>"

    # -- reading -----------------------------------------------------------------------------------------------------

    def models(self) -> list[RegisteredModel]:
        """Prompts, which MLflow keeps among the models, are left out."""
        numbers: dict[str, list[int]] = {}
        with self._expected():
            for version in self._pages("model-versions/search", "model_versions"):
                numbers.setdefault(str(version["name"]), []).append(int(version["version"]))
            found = [
                registered_model(model, numbers.get(str(model["name"]), []))
                for model in self._pages("registered-models/search", "registered_models")
                if tags_of(model).get("mlflow.prompt.is_prompt") != "true"
            ]
        return sorted(found, key=lambda model: model.name)

    def model(self, name: str) -> RegisteredModel:
        model = self._registered(name)
        with self._expected():
            return registered_model(model, [int(v["version"]) for v in self._versions_of(name)])

    def versions(self, name: str) -> list[ModelVersion]:
        with self._expected():
            aliases = aliases_and_stages(self._registered(name))
            found = [model_version(data, aliases) for data in self._versions_of(name)]
        return sorted(found, key=lambda version: int(version.version))

    def version(self, name: str, version: str) -> ModelVersion:
        model = self._registered(name)
        if not _NUMBER.fullmatch(version):
            raise no_version(name, version)
        try:
            answer = self._server.get("model-versions/get", name=name, version=version)
        except RegistryRefused:
            raise no_version(name, version) from None
        with self._expected():
            return model_version(answer["model_version"], aliases_and_stages(model))

    def resolve(self, name: str, alias: str = PRODUCTION) -> ModelVersion:
        """One request where an alias of that name exists; gateways ask this every few seconds."""
        try:
            answer = self._server.get("registered-models/alias", name=name, alias=alias)
        except (RegistryRefused, RegistryNotFound):  # before MLflow 2.3 there were no aliases
            answer = {"model_version": self._by_stage(name, alias)}
        with self._expected():
            return require_ready(model_version(answer["model_version"]), answer["model_version"])

    def search(self, pattern: str, alias: str = PRODUCTION) -> dict[str, str]:
        """A page holds a thousand models. The filter is the server's; some of them know no more than a beginning."""
        beginning = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        simple = re.fullmatch(r"[A-Za-z0-9 .\-]+", beginning)
        fields = {"filter": f"name LIKE '{beginning}%'"} if simple else {}
        with self._expected():
            found = [
                (str(model["name"]), aliases_and_stages(model))
                for model in self._pages("registered-models/search", "registered_models", **fields)
                if tags_of(model).get("mlflow.prompt.is_prompt") != "true"
            ]
        return {name: named[alias] for name, named in found if alias in named and fnmatchcase(name, pattern)}

    def latest(self, name: str) -> ModelVersion:
        model = self._registered(name)
        with self._expected():
            numbers = [int(v["version"]) for v in model.get("latest_versions") or self._versions_of(name)]
            if not numbers:
                raise ModelNotFound(f"Model {name!r} has no versions.")
            data = self._of_latest(model, str(max(numbers)))
            return require_ready(model_version(data, aliases_and_stages(model)), data)

    def history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        raise Unsupported(
            "MLflow keeps no history of aliases.",
            hint="Show the model to see its current aliases.",
            remedy=remedy("show_model", model=name),
        )

    def signature(self, version: ModelVersion) -> Signature | None:
        """From the version's MLmodel file; None where that cannot be read here."""
        try:
            place = self._sources.locate(self._sources.download_uri(version.name, version.version))
            return Manifest.parse(self._sources.manifest(place)).signature
        except (Unsupported, DependencyMissing, RegistryDenied) as error:
            log.warning("The signature of %s version %s is unknown. %s", version.name, version.version, error.message)
            return None

    def fetch(self, version: ModelVersion) -> CachedPackage:
        """From the cache, by this server's address, name, version and creation time; downloaded where it is not there.

        Raises PackageNotFound, PackageInvalid, CacheUnusable, Unsupported, and what reading the registry raises.
        """

        def download(target: Path) -> None:
            place = self._sources.locate(self._sources.download_uri(version.name, version.version))
            self._sources.download(place, target, Download(place, self.cache.max_package_size))

        return self.cache.fetch(*self._cached_as(version), download)

    def known(self, version: ModelVersion) -> ModelVersion:
        """MLflow's server keeps none of these: they are those of the package, where it was fetched to this machine."""
        cached = self.cache.known(*self._cached_as(version))
        try:
            return version if cached is None else with_package(version, *cached)
        except PackageError:  # nobody could load it; what the server says of it can be shown
            return version

    def _cached_as(self, version: ModelVersion) -> tuple[tuple[str, ...], str]:
        identity = (self._server.place, version.name, version.version, version.created_at.isoformat())
        return identity, f"{usable_name(version.name)}-{version.version}"

    def fetch_uri(self, uri: str) -> CachedPackage:
        """A logged model, a run's artifact, a path on the server. Cached by its place and its manifest."""
        place = self._sources.locate(uri)
        manifest = hashlib.sha256(self._sources.manifest(place)).hexdigest()
        name = usable_name(uri.rstrip("/").rpartition("/")[2])
        return self.cache.fetch(
            (self._server.place, place, manifest),
            name,
            lambda target: self._sources.download(place, target, Download(place, self.cache.max_package_size)),
        )

    # -- writing -----------------------------------------------------------------------------------------------------

    def require_registering(self) -> None:
        raise Unsupported(
            "Register versions of an MLflow registry with MLflow itself.",
            hint="In Python: mlflow.log_artifacts(DIR, 'model') within a run, then "
            "mlflow.register_model(f'runs:/{run.info.run_id}/model', NAME).",
        )

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        self.require_registering()
        raise AssertionError

    def rollback(self, name: str, alias: str = PRODUCTION, *, by: str, reason: str = "") -> AliasMove:
        raise Unsupported(
            "MLflow keeps no history of aliases, so a rollback is not possible.",
            hint="Promote the version that the alias should name.",
            remedy=remedy("promote", model=name, alias=alias),
        )

    def _move_alias(
        self,
        name: str,
        alias: str,
        kind: MoveKind,
        to: str | None,
        *,
        expected: Expected,
        at: datetime,
        by: str,
        reason: str,
    ) -> AliasMove:
        model = self._registered(name)
        before = own_aliases(model).get(alias)
        if to is None and before is None:
            raise self._only_a_stage(name, alias, model)
        refuse_if_moved(
            name, alias, aliases_and_stages(model).get(alias), expected
        )  # MLflow has no transactions for it
        with self._writing(name, to):
            if to is None:
                self._server.send("DELETE", "registered-models/alias", name=name, alias=alias)
            else:
                self._server.send("POST", "registered-models/alias", name=name, alias=alias, version=to)
        if reason:
            log.warning("MLflow keeps no history: the reason is not kept.")
        return AliasMove(name, alias, kind, before, to, at, by, reason)

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None, *, at: datetime, by: str) -> None:
        kind = "registered-models" if version is None else "model-versions"
        fields = {"name": name, "key": key} | ({} if version is None else {"version": version})
        with self._writing(name, version):
            if value is not None:
                self._server.send("POST", f"{kind}/set-tag", **fields, value=value)
                return
            try:
                self._server.send("DELETE", f"{kind}/delete-tag", **fields)
            except RegistryRefused as error:
                if error.status != 404:  # it was not there
                    raise

    def _delete(self, name: str, version: str | None, *, with_aliases: bool, at: datetime, by: str) -> None:
        call = "delete_registered_model(NAME)" if version is None else "delete_model_version(NAME, VERSION)"
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

    # -- shared ------------------------------------------------------------------------------------------------------

    def _registered(self, name: str) -> Mapping[str, Any]:
        if name and not set(name) & set("/:"):
            try:
                model = self._server.get("registered-models/get", name=name).get("registered_model")
            except RegistryRefused:
                pass
            else:
                if isinstance(model, dict) and "creation_timestamp" in model:
                    return model
                raise self._odd()
        raise ModelNotFound(
            f"There is no model {name!r} at {self._server.place}.",
            hint="List the models of the registry.",
            remedy=remedy("list_models"),
        )

    def _versions_of(self, name: str) -> Iterator[Mapping[str, Any]]:
        quote = '"' if "'" in name else "'"
        return self._pages("model-versions/search", "model_versions", filter=f"name={quote}{name}{quote}")

    def _by_stage(self, name: str, alias: str) -> Mapping[str, Any]:
        with self._expected():
            model = self._registered(name)
            aliases = aliases_and_stages(model)
            if alias not in aliases:
                raise no_alias(name, alias, aliases)
            return self._of_latest(model, aliases[alias])

    def _of_latest(self, model: Mapping[str, Any], number: str) -> Mapping[str, Any]:
        """A version's data, from the model's own description where it is one of the latest of their stages."""
        for data in model.get("latest_versions", ()):
            if str(data.get("version")) == number:
                return data  # type: ignore[no-any-return]
        try:
            answer = self._server.get("model-versions/get", name=model["name"], version=number)
            return answer["model_version"]  # type: ignore[no-any-return]
        except RegistryRefused:
            raise no_version(str(model["name"]), number) from None

    def _pages(self, path: str, key: str, **fields: str) -> Iterator[Mapping[str, Any]]:
        """The entries of a listing. Raises RegistryUnavailable for one without an end."""
        ends = self._monotonic() + _LISTING_SECONDS
        entries, received, tokens = 0, 0, list[str]()
        while True:
            answer, size = self._server.get_sized(path, max_results=_PAGE, **fields)
            found = answer.get(key, ())
            yield from found
            token = str(answer.get("next_page_token") or "")
            if not token or token == fields.get("page_token"):
                return
            entries, received = entries + len(found), received + size
            tokens.append(token)
            too_much = entries > _MAX_ENTRIES or received > LISTING_LIMIT or len(tokens) > _MAX_PAGES
            if too_much or token in tokens[:-1] or self._monotonic() > ends:
                raise RegistryUnavailable(
                    f"{self._server.place} lists models without an end: {entries:,} came, and there is always more."
                )
            fields["page_token"] = token

    @contextmanager
    def _expected(self) -> Iterator[None]:
        """Answers are taken apart here: one of another form is the server's fault, whatever it raises."""
        try:
            yield
        except RegistryError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise self._odd() from None

    def _odd(self) -> RegistryUnavailable:
        return RegistryUnavailable(f"{self._server.place} describes a model in a format that is not MLflow's.")

    @contextmanager
    def _writing(self, name: str, version: str | None) -> Iterator[None]:
        if self._read_only:
            raise RegistryReadOnly(f"The registry at {self._server.place} was opened for reading only.")
        try:
            yield
        except RegistryRefused as error:
            if error.status == 404:
                raise VersionNotFound(f"{name!r} or its version {version} no longer exists. {error.message}") from None
            raise NameInvalid(error.message) from None

    @staticmethod
    def _only_a_stage(name: str, alias: str, model: Mapping[str, Any]) -> RegistryError:
        if alias not in aliases_and_stages(model):
            return no_alias(name, alias, own_aliases(model))
        return Unsupported(
            f"{alias!r} is a stage of model {name!r}, not an alias.",
            hint="In Python: mlflow.MlflowClient().transition_model_version_stage(NAME, VERSION, 'None')",
        )


def open_mlflow(url: str, *, read_only: bool = False, cache: PackageCache) -> MlflowRegistry:
    """The tracking server at a URL, with the credentials that MLflow's own variables hold. Raises ConfigError."""
    server = MlflowRestClient(url, MlflowCredentials.from_environ(os.environ))
    return MlflowRegistry(server, cache, read_only=read_only)
