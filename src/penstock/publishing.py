"""A package into a registry, and out again: verified, copied in, sealed, registered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penstock.package import PackagedModel
from penstock.registry.interface import ModelVersion, NewVersion, Registry
from penstock.registry.names import check_alias, check_name, check_tag


def publish(
    registry: Registry,
    name: str,
    package: str | Path,
    *,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    by: str = "",
    reason: str = "",
) -> ModelVersion:
    """Registers the package at a path as the next version of `name`, and promotes it to `alias` if one is given.

    Raises PackageNotFound, PackageInvalid, SealBroken, FlavorUnknown, NameInvalid, RegistryReadOnly, and, once the
    version is registered, SignatureIncompatible from the promotion.
    """
    check_name(name)
    if alias is not None:
        check_alias(alias)
    for tag in tags or ():
        check_tag(tag)
    registry.require_registering()
    packaged = PackagedModel.open(package)
    packaged.verify()
    packaged.flavor()  # a package that nobody here could load is refused now, not when it is promoted
    key = f"{name}/{packaged.digest}"
    registry.package_store().put(packaged, key)
    version = registry.register(
        name,
        NewVersion(
            source=key,
            digest=packaged.digest,
            signature=packaged.manifest.signature.to_mlflow() if packaged.manifest.signature else None,
            flavors=tuple(packaged.manifest.flavors),
            size_bytes=packaged.size_bytes,
            description=description,
            run_id=packaged.manifest.run_id,
            tags=dict(tags or {}),
            registered_by=by,
        ),
    )
    if alias is not None:
        registry.promote(name, version.version, alias, by=by, reason=reason)
        version = registry.version(name, version.version)
    return version


def withdraw(registry: Registry, name: str, version: str | None = None) -> None:
    """Deletes a version, or the model with all of them, and the packages that no other version uses.

    Raises VersionInUse, ModelNotFound, VersionNotFound, RegistryReadOnly.
    """
    before = registry.versions(name)
    registry.delete(name, version)
    gone = {v.digest for v in before if version in (None, v.version)}
    kept = {v.digest for v in before} - gone | {v.digest for v in before if version not in (None, v.version)}
    store = registry.package_store()
    for digest in gone - kept:
        if digest is not None:
            store.remove(f"{name}/{digest}")
