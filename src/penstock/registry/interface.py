"""What a registry holds, and the contract that every backend meets.

`Registry` states the public behaviour once: names are checked, signatures compared, rollback targets found here. A
backend fills in the private verbs, each one atomic. Reading is required of all; a backend that cannot write leaves the
writing verbs alone and callers get `Unsupported`.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import EllipsisType
from typing import Any, ClassVar, TypeAlias

from penstock.artifacts import CachedPackage, PackageCache, default_cache, fetch_package
from penstock.errors import (
    AliasMoved,
    AliasNotFound,
    ModelNotFound,
    NothingToRollBack,
    SignatureIncompatible,
    Unsupported,
    VersionInUse,
    VersionNotFound,
    remedy,
)
from penstock.registry.history import AliasMove, MoveKind, rollback_target
from penstock.registry.names import check_alias, check_name, check_tag
from penstock.signature import Signature, breaking_changes

PRODUCTION = "production"


# What an alias is to name before it is moved: a version, none, or `...` where that does not matter.
Expected: TypeAlias = str | EllipsisType | None

_MAX_TRIES = 10

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version. `version` is a decimal number as text; `source` is its package, an absolute path or URL.

    `digest` is the package digest (64 hex digits), or None where the registry does not know it. `signature` is in
    MLflow's manifest form. `created_at` is in UTC. `registered_by` is empty where nobody knows.
    """

    name: str
    version: str
    source: str
    created_at: datetime
    digest: str | None = None
    signature: Mapping[str, Any] | None = None
    flavors: tuple[str, ...] = ()
    size_bytes: int = 0
    description: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    registered_by: str = ""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One model name. `aliases` maps alias to version; `latest` is the highest number, or None without versions."""

    name: str
    created_at: datetime
    latest: str | None = None
    versions: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What `register` is given: a ModelVersion before it has a number. `source` may be relative to `artifact_root`."""

    source: str
    digest: str | None = None
    signature: Mapping[str, Any] | None = None
    flavors: tuple[str, ...] = ()
    size_bytes: int = 0
    description: str = ""
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    registered_by: str = ""


class Registry(ABC):
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
            hint="Set the registry to the server's address (PENSTOCK_REGISTRY or MLFLOW_TRACKING_URI): "
            "http://host:5000",
        )

    # -- writing -----------------------------------------------------------------------------------------------------

    def register(self, name: str, new: NewVersion) -> ModelVersion:
        """Adds the next version, creating the model with its first one. Numbers are never shared nor used twice."""
        check_name(name)
        for key in new.tags:
            check_tag(key)
        return self._insert_version(name, new, at=self._now())

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
        """Points `alias` at `version`, and keeps the move in the history. Promoting what the alias names already is a
        move too, from the version to itself.

        Raises SignatureIncompatible where callers of the version that the alias names now would break, unless
        `allow_breaking`, or the alias has named `version` before. Raises ModelNotFound, VersionNotFound, NameInvalid.
        """
        check_alias(alias)
        for _ in range(_MAX_TRIES):
            target = self.version(name, version)
            current = self.model(name).aliases.get(alias)
            moves = current is not None and current != version
            if moves and not allow_breaking and version not in self._held(name, alias):
                self._check_compatible(self.version(name, str(current)), target)
            # Whoever moves it meanwhile changes what there is to be compatible with.
            with suppress(AliasMoved):
                return self._move_alias(
                    name, alias, "promote", version, expected=current, at=self._now(), by=by, reason=reason
                )
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
        return self._move_alias(
            name, alias, "rollback", target, expected=current.version, at=self._now(), by=by, reason=reason
        )

    def remove_alias(self, name: str, alias: str, *, by: str, reason: str = "") -> AliasMove:
        """Takes the alias away. Raises AliasNotFound, ModelNotFound."""
        self.resolve(name, alias)
        return self._move_alias(name, alias, "remove", None, expected=..., at=self._now(), by=by, reason=reason)

    def set_tag(self, name: str, key: str, value: str, version: str | None = None) -> None:
        """Tags a version, or the model where `version` is None. Raises ModelNotFound, VersionNotFound, NameInvalid."""
        check_tag(key)
        self._require(name, version)
        self._write_tag(name, version, key, value)

    def delete_tag(self, name: str, key: str, version: str | None = None) -> None:
        """Removes a tag; one that is not there is no error. Raises ModelNotFound, VersionNotFound."""
        self._require(name, version)
        self._write_tag(name, version, key, None)

    def delete(self, name: str, version: str | None = None) -> None:
        """Removes one version, or the model with all of them. Packages stay where they are: see publishing.

        History and numbering stay: a model registered again under this name continues both.
        Raises VersionInUse where an alias names what should go, ModelNotFound, VersionNotFound.
        """
        self._require(name, version)
        self._delete(name, version)

    def require_registering(self) -> None:  # noqa: B027  (most backends can)
        """Raises Unsupported where `register` would, before anything is copied."""

    def migrate(self) -> str:
        """Brings the tables to this release's form; says in one sentence what was done."""
        raise self._unsupported("migrating")

    def close(self) -> None:  # noqa: B027  (nothing to close is the common case)
        """Releases connections. The registry is not used afterwards."""

    # -- what a backend fills in ---------------------------------------------------------------------------------------

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        raise self._unsupported("registering versions")

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
        """Moves the alias and writes the history line in one transaction; `from_version` is what it found there.

        Raises ModelNotFound, VersionNotFound where `to` is gone, AliasNotFound where there is nothing to remove,
        AliasMoved where the alias does not name `expected`."""
        raise self._unsupported("moving aliases")

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None) -> None:
        raise self._unsupported("tags")

    def _delete(self, name: str, version: str | None) -> None:
        """Checks with `refuse_if_named`, and deletes, in one transaction. Raises as `delete` does."""
        raise self._unsupported("deleting")

    # -- shared ------------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    def _located(self, source: str) -> str:
        """A stored source as callers get it: a relative one is joined to `artifact_root`."""
        if os.path.isabs(source) or _URL.match(source):
            return source
        return f"{self.artifact_root.rstrip('/')}/{source}"

    def _held(self, name: str, alias: str) -> set[str | None]:
        """The versions that the alias has named."""
        return {move.to_version for move in self.history(name, alias)}

    def _unsupported(self, what: str) -> Unsupported:
        return Unsupported(f"A {type(self).__name__} does not support {what}.")

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


def no_model(name: str) -> ModelNotFound:
    return ModelNotFound(
        f"There is no model {name!r} in this registry.",
        hint="Register a version of the model first.",
        remedy=remedy("add_model", model=name),
    )


def no_version(name: str, version: str) -> VersionNotFound:
    return VersionNotFound(
        f"Model {name!r} has no version {version}.",
        hint="List the model's versions.",
        remedy=remedy("show_model", model=name),
    )


def no_alias(name: str, alias: str, known: Iterable[str]) -> AliasNotFound:
    return AliasNotFound(
        f"Model {name!r} has no alias {alias!r} (aliases: {', '.join(sorted(known)) or 'none'}).",
        hint="Promote a version to set the alias.",
        remedy=remedy("promote", model=name, alias=alias),
    )


def refuse_if_moved(name: str, alias: str, found: str | None, expected: Expected) -> None:
    """Raises AliasMoved."""
    if expected is not ... and found != expected:
        raise AliasMoved(
            f"Alias {alias!r} of model {name!r} was moved meanwhile: the alias now names "
            f"{'nothing' if found is None else f'version {found}'}.",
            hint="Check the alias's history, and try again.",
            remedy=remedy("show_history", model=name),
        )


def refuse_if_named(name: str, version: str | None, aliases: Mapping[str, str]) -> None:
    """Raises VersionInUse if one of the model's aliases names `version`, or any version where that is None."""
    named = sorted((alias, v) for alias, v in aliases.items() if version in (None, v))
    if named:
        what = f"Model {name!r}" if version is None else f"Version {version} of model {name!r}"
        raise VersionInUse(
            f"{what} is in use by aliases: {', '.join(f'{alias} -> {v}' for alias, v in named)}.",
            hint="Point the alias at another version, or remove it, first.",
            remedy=remedy("remove_alias", model=name, alias=named[0][0]),
        )
