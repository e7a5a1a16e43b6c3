"""How a registry says no: the same words from every backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import EllipsisType
from typing import TypeAlias

from penstock.errors import (
    AliasMoved,
    AliasNotFound,
    ArtifactRegistered,
    ModelExists,
    ModelNotFound,
    PackageNotFound,
    VersionInUse,
    VersionNotFound,
    VersionPending,
    remedy,
)
from penstock.registry.entries import ModelVersion

# What an alias is to name before it is moved: a version, none, or `...` where that does not matter.
Expected: TypeAlias = str | EllipsisType | None


def no_model(name: str) -> ModelNotFound:
    return ModelNotFound(
        f"There is no model {name!r} in this registry.",
        hint="Register a version of the model first.",
        remedy=remedy("add_model", model=name),
    )


def no_keyed_model() -> ModelNotFound:
    return ModelNotFound("The model was deleted meanwhile.", hint="Make it again, and then try again.")


def no_version(name: str, version: str) -> VersionNotFound:
    return VersionNotFound(
        f"Model {name!r} has no version {version}.",
        hint="List the model's versions.",
        remedy=remedy("show_model", model=name),
    )


def being_removed(source: str) -> PackageNotFound:
    """Garbage was collected: nothing referred to the files until now."""
    return PackageNotFound(
        f"The files at {source[:300]} are being removed as garbage: no version had them.",
        hint="Send the package again when penstock hub gc has ended.",
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


def refuse_pending(version: ModelVersion) -> None:
    """Raises VersionPending."""
    if version.status == "PENDING_REGISTRATION":
        raise VersionPending(
            f"Version {version.version} of model {version.name!r} is still being registered: its files are being read.",
            hint="Wait until its status is READY, and try again.",
        )


def refuse_registered(path: str, version: ModelVersion | None) -> None:
    """What a version was registered with stays as it was then. Raises ArtifactRegistered."""
    if version is not None:
        raise ArtifactRegistered(
            f"The files of {path[:300]!a} belong to version {version.version} of model {version.name!r}, and "
            "cannot be changed since it was registered.",
            hint="Log the model again, and register that.",
        )


def model_exists(name: str) -> ModelExists:
    return ModelExists(f"There is a model {name!r} already.", hint="Choose another name, or register a version of it.")
