"""What a registry holds, and the contract that every backend meets.

`Registry` states the public behaviour once: names are checked, signatures compared, rollback targets found here. A
backend fills in the private verbs, each one atomic. Reading is required of all; a backend that cannot write leaves the
writing verbs alone and callers get `Unsupported`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import ClassVar

from penstock.artifacts import ArtifactStore, CachedPackage, PackageCache, default_cache, fetch_package, open_store
from penstock.errors import (
    AliasMoved,
    ModelNotFound,
    NameInvalid,
    NothingToRollBack,
    SignatureIncompatible,
    Unsupported,
    remedy,
)
from penstock.mlflow_api.search.paging import Page
from penstock.registry.entries import (
    ModelChange,
    ModelKey,
    ModelQuery,
    ModelVersion,
    NewVersion,
    RegisteredModel,
    Stage,
    VersionQuery,
)
from penstock.registry.history import AliasMove, NewMove, aliases_state, rollback_target
from penstock.registry.names import check_alias, check_mlflow_name, check_name, check_tags, check_text
from penstock.registry.refusals import no_alias, refuse_pending
from penstock.registry.version_files import VersionFiles
from penstock.signature import Signature, breaking_changes

__all__ = ["PRODUCTION", "ModelVersion", "NewVersion", "RegisteredModel", "Registry"]

PRODUCTION = "production"

# How often a move is tried. Each try that fails is a move that another one made; a crowd of them may be ahead.
_MAX_TRIES = 200


class Registry(VersionFiles, ABC):
    """Names, versions, aliases, tags and the history of alias moves. Synchronous and safe to call from several threads.

    Every method may raise RegistryUnavailable and RegistryOutdated; writing ones also RegistryReadOnly and Unsupported.
    """

    # Whether every alias moves through `promote`, which compares signatures. If not, gateways compare them.
    guards_aliases: ClassVar[bool] = True

    # Whether it keeps flavors, size, digest and signature of versions. If not, `known` has them from fetched packages.
    describes_packages: ClassVar[bool] = True

    def __init__(
        self,
        *,
        artifact_root: str,
        cache: PackageCache | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.artifact_root = artifact_root
        self.cache = cache or PackageCache(default_cache())  # for packages that are not on this machine
        self._clock = clock

    @property
    def place(self) -> str:
        """Names the registry to people, without credentials."""
        return self.artifact_root

    # -- reading -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def models(self) -> list[RegisteredModel]:
        """All models, by name."""

    @abstractmethod
    def model(self, name: str) -> RegisteredModel:
        """Raises ModelNotFound."""

    @abstractmethod
    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, the lowest number first. Raises ModelNotFound."""

    @abstractmethod
    def version(self, name: str, version: str) -> ModelVersion:
        """Raises ModelNotFound, VersionNotFound."""

    @abstractmethod
    def history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        """Every move of one alias, or of all, oldest first. Raises ModelNotFound, Unsupported."""

    def resolve(self, name: str, alias: str = PRODUCTION) -> ModelVersion:
        """The version that an alias names now. Raises ModelNotFound, AliasNotFound."""
        model = self.model(name)
        if alias not in model.aliases:
            raise no_alias(name, alias, model.aliases)
        return self.version(name, model.aliases[alias])

    def search(self, pattern: str, alias: str = PRODUCTION) -> dict[str, str]:
        """The models whose name matches a pattern of `*`, `?` and `[…]` and that have the alias, each with the number
        of the version that it names. One question: gateways ask it every few seconds."""
        return {m.name: m.aliases[alias] for m in self.models() if alias in m.aliases and fnmatchcase(m.name, pattern)}

    def latest(self, name: str) -> ModelVersion:
        """The version with the highest number. Raises ModelNotFound, also where the model has none."""
        number = self.model(name).latest
        if number is None:
            raise ModelNotFound(f"Model {name!r} has no versions.")
        return self.version(name, number)

    def find_models(self, query: ModelQuery) -> Page[RegisteredModel]:
        """A page of models in MLflow's grammar. Raises SearchInvalid, TrackingInvalid for a limit out of bounds."""
        raise self._unsupported("searching models")

    def find_versions(self, query: VersionQuery) -> Page[ModelVersion]:
        """A page of versions, of all models. Raises SearchInvalid, TrackingInvalid for a limit out of bounds."""
        raise self._unsupported("searching versions")

    def latest_of_stages(self, names: Sequence[str]) -> dict[str, list[ModelVersion]]:
        """For each of these models the version with the highest number in each stage, by number."""
        raise self._unsupported("stages")

    def changes(self, name: str) -> list[ModelChange]:
        """Who changed what about a model and its versions, oldest first; moves of aliases are in `history`. Raises
        ModelNotFound."""
        raise self._unsupported("remembering changes")

    def key_of(self, name: str) -> ModelKey:
        """What a model is known by where it may be renamed or deleted meanwhile. Raises ModelNotFound."""
        raise self._unsupported("keys of models")

    def aliases_state(self) -> str:
        """A short text that is another one as soon as any alias of any model names another version, or another model
        has the name."""
        return aliases_state((m.name, alias, number) for m in self.models() for alias, number in m.aliases.items())

    def wait_for_aliases(self, state: str, seconds: float) -> str:
        """The state of the aliases as soon as it is another one than `state`, or what it is after so many seconds.
        Raises Unsupported where a registry has to be asked again and again."""
        raise self._unsupported("waiting for aliases")

    def signature(self, version: ModelVersion) -> Signature | None:
        """What a version takes and gives, where that is known."""
        return None if version.signature is None else Signature.from_mlflow(version.signature)

    def known(self, version: ModelVersion) -> ModelVersion:
        """The version with all that this machine knows of its package; nothing is asked or fetched for it."""
        return version

    def fetch(self, version: ModelVersion) -> CachedPackage:
        """A local directory with the version's package, verified. Raises what fetch_package raises."""
        return fetch_package(version.source, version.digest, self.cache)

    def fetch_uri(self, uri: str) -> CachedPackage:
        """The same for a package without a name in the registry, by a URI that is MLflow's."""
        raise Unsupported(
            f"Only an MLflow tracking server can resolve {uri}.",
            hint="Set the registry to the server's address (PENSTOCK_REGISTRY or MLFLOW_TRACKING_URI): http://host:5000",
        )

    # -- writing -----------------------------------------------------------------------------------------------------

    def register(self, name: str, new: NewVersion) -> ModelVersion:
        """Adds the next version, creating the model with its first one. Numbers are never shared nor used twice.
        Raises ModelNotFound where the version is for a model that has not this name any more."""
        if new.of_model is None:
            self._check_registrable(name)
        check_tags(new.tags)
        check_text("description", new.description)
        return self._insert_version(name, new, at=self._now())

    def create_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None, by: str = ""
    ) -> RegisteredModel:
        """A model without versions. Any name that MLflow takes will do. Raises NameInvalid, ModelExists."""
        check_mlflow_name(name)
        check_text("description", description)
        check_tags(tags or {})
        self._insert_model(name, description, dict(tags or {}), at=self._now(), by=by)
        return self.model(name)

    def describe(self, name: str, description: str, version: str | None = None, *, by: str = "") -> None:
        """Of a version, or of the model where `version` is None. Raises ModelNotFound, VersionNotFound."""
        check_text("description", description)
        self._require(name, version)
        self._write_description(name, version, description, at=self._now(), by=by)

    def set_stage(
        self, name: str, version: str, stage: Stage, *, archive_existing: bool = False, by: str = ""
    ) -> ModelVersion:
        """Moves a version to a stage; `archive_existing` archives others. Raises ModelNotFound, VersionNotFound."""
        self._require(name, version)
        self._write_stage(name, version, stage, archive_existing=archive_existing, at=self._now(), by=by)
        return self.version(name, version)

    def rename(self, name: str, new_name: str, *, by: str = "") -> RegisteredModel:
        """Versions, aliases, tags and history stay. Raises ModelNotFound, ModelExists, NameInvalid."""
        check_mlflow_name(new_name)
        self._rename(name, new_name, at=self._now(), by=by)
        return self.model(new_name)

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
        """Points `alias` at `version`, and keeps the move in the history. What the alias names already stays, without a
        line of history: what is returned goes from the version to itself.

        Raises SignatureIncompatible where callers of the version that the alias names now would break, unless
        `allow_breaking`, or the alias has named `version` before; VersionPending for one whose files are being read
        still. Raises ModelNotFound, VersionNotFound, NameInvalid.
        """
        check_alias(alias)
        for _ in range(_MAX_TRIES):
            target = self.version(name, version)
            refuse_pending(target)
            current = self.model(name).aliases.get(alias)
            moves = current is not None and current != version
            if moves and not allow_breaking and version not in self._held(name, alias):
                self._check_compatible(self.version(name, str(current)), target)
            # Whoever moves it meanwhile changes what there is to be compatible with.
            with suppress(AliasMoved):
                return self._move_alias(NewMove(name, alias, "promote", version, current, self._now(), by, reason))
        raise AliasMoved(f"Alias {alias!r} of model {name!r} keeps being moved by others.", hint="Try again.")

    def rollback(self, name: str, alias: str = PRODUCTION, *, by: str, reason: str = "") -> AliasMove:
        """Points `alias` back at the version it named before the current one; a second roll-back goes one further.

        Raises NothingToRollBack, AliasNotFound, ModelNotFound, and AliasMoved where another moved it in this moment:
        what to go back to is for a person to say then.
        """
        current = self.resolve(name, alias)
        existing = {v.version for v in self.versions(name)}
        target = rollback_target(self.history(name, alias), existing)
        if target is None:
            raise NothingToRollBack(
                f"Alias {alias!r} of model {name!r} named no other version before {current.version}."
            )
        return self._move_alias(NewMove(name, alias, "rollback", target, current.version, self._now(), by, reason))

    def remove_alias(self, name: str, alias: str, *, by: str, reason: str = "") -> AliasMove:
        """Takes the alias away. Raises AliasNotFound, ModelNotFound."""
        self.resolve(name, alias)
        return self._move_alias(NewMove(name, alias, "remove", None, ..., self._now(), by, reason))

    def set_tag(self, name: str, key: str, value: str, version: str | None = None, *, by: str = "") -> None:
        """Tags a version, or the model where `version` is None. Raises ModelNotFound, VersionNotFound, NameInvalid."""
        check_tags({key: value})
        self._require(name, version)
        self._write_tag(name, version, key, value, at=self._now(), by=by)

    def delete_tag(self, name: str, key: str, version: str | None = None, *, by: str = "") -> None:
        """Removes a tag; one that is not there is no error. Raises ModelNotFound, VersionNotFound."""
        self._require(name, version)
        self._write_tag(name, version, key, None, at=self._now(), by=by)

    def delete(self, name: str, version: str | None = None, *, with_aliases: bool = False, by: str = "") -> None:
        """Removes one version, or the model with all of them. Packages stay where they are: see publishing.

        History and numbering stay: a model registered again under this name continues both. With `with_aliases`, which
        is MLflow's rule, aliases that name what goes are removed with it; without, that raises VersionInUse.
        Raises ModelNotFound, VersionNotFound.
        """
        self._require(name, version)
        self._delete(name, version, with_aliases=with_aliases, at=self._now(), by=by)

    def package_store(self) -> ArtifactStore:
        """Where packages of ours are kept, by keys like `<model name>/<digest>`."""
        return open_store(self.artifact_root, self.cache)

    def require_registering(self) -> None:
        """Raises Unsupported where packages of ours cannot be registered, before one is copied."""

    def migrate(self) -> str:
        """Brings the tables to this release's form; says in one sentence what was done."""
        raise self._unsupported("migrating")

    def close(self) -> None:
        """Releases connections. The registry is not used afterwards."""

    # -- what a backend fills in ---------------------------------------------------------------------------------------

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        raise self._unsupported("registering versions")

    def _move_alias(self, move: NewMove) -> AliasMove:
        """Moves the alias and writes the history line in one transaction; `from_version` is what it found there. Where
        that is `to` already, there is no line.

        Raises ModelNotFound, VersionNotFound where `to` is gone, AliasNotFound where there is nothing to remove,
        AliasMoved where the alias does not name what is `expected`."""
        raise self._unsupported("moving aliases")

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None, *, at: datetime, by: str) -> None:
        raise self._unsupported("tags")

    def _insert_model(self, name: str, description: str, tags: dict[str, str], *, at: datetime, by: str) -> None:
        raise self._unsupported("models without versions")

    def _write_description(self, name: str, version: str | None, description: str, *, at: datetime, by: str) -> None:
        raise self._unsupported("descriptions")

    def _write_stage(
        self, name: str, version: str, stage: Stage, *, archive_existing: bool, at: datetime, by: str
    ) -> None:
        raise self._unsupported("stages")

    def _rename(self, name: str, new_name: str, *, at: datetime, by: str) -> None:
        raise self._unsupported("renaming")

    def _delete(self, name: str, version: str | None, *, with_aliases: bool, at: datetime, by: str) -> None:
        """Removes aliases or checks with `refuse_if_named`, and deletes, in one transaction. Raises as `delete`
        does."""
        raise self._unsupported("deleting")

    # -- shared ------------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    def _held(self, name: str, alias: str) -> set[str | None]:
        """The versions that the alias has named."""
        return {move.to_version for move in self.history(name, alias)}

    def _check_registrable(self, name: str) -> None:
        """A model that is there already may have a name that only MLflow takes. Raises NameInvalid."""
        try:
            check_name(name)
        except NameInvalid:
            with suppress(ModelNotFound):
                self.model(name)
                return
            raise

    def _require(self, name: str, version: str | None) -> None:
        if version is None:
            self.model(name)
        else:
            self.version(name, version)

    def _check_compatible(self, old: ModelVersion, new: ModelVersion) -> None:
        breaks = breaking_changes(self.signature(old), self.signature(new))
        if breaks:
            raise SignatureIncompatible(
                f"Version {new.version} of {new.name!r} would break callers of version {old.version}: "
                f"{'; '.join(breaks)}.",
                hint="If the change is intended, allow breaking changes.",
                remedy=remedy("allow_breaking"),
            )
