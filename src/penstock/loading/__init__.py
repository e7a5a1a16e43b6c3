"""The one road from a package to a predictor, used by serving and by scoring.

Open, verify the seal, compare libraries, load, prove.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.artifacts import CachedPackage, PackageCache, PackageHold, default_cache, hold
from penstock.flavors import Predictor
from penstock.loading.proof import Proof, prove
from penstock.package import PackagedModel
from penstock.signature import Signature

if TYPE_CHECKING:  # a model process loads packages, and has no registry
    from penstock.registry.interface import ModelVersion, Registry
    from penstock.registry.references import ModelReference

__all__ = [
    "LoadOptions",
    "LoadedModel",
    "Proof",
    "Timed",
    "fetch_reference",
    "fetch_url",
    "load_package",
    "load_path",
    "load_reference",
    "load_version",
    "prove",
    "untimed",
]

log = logging.getLogger("penstock.loading")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """`threads` is how many a model may use for one batch, 0 for the library's own choice; `flavor` overrides the
    package's own choice."""

    trust_code: bool = False
    strict_env: bool = False
    flavor: str | None = None
    threads: int = 0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A proven predictor with what it was loaded from; `hold` keeps that where it is, if it is in the cache."""

    package: PackagedModel
    predictor: Predictor
    proof: Proof
    override: str | None = None  # the flavor that was asked for, where it is not the package's own choice
    bounded: bool = False  # whether a row's cost is bounded, as long as its texts are
    hold: PackageHold = field(default_factory=PackageHold, repr=False, compare=False)
    # Given by who serves it: loads the same package into a process of its own, once a prediction has taken so long.
    apart: Callable[[], Any] | None = field(default=None, repr=False, compare=False)
    time_limit: float = inf

    @property
    def flavor(self) -> str:
        """The name of the flavor that answers."""
        return self.package.flavor(self.override).name

    @property
    def digest(self) -> str:
        return self.package.digest

    @property
    def signature(self) -> Signature | None:
        return self.package.manifest.signature

    @property
    def cyclic(self) -> bool:
        """Whether it may leave circles of objects behind."""
        return self.predictor.cyclic

    @property
    def takes_frames(self) -> bool:
        """Whether tables reach the model as pandas frames."""
        return self.predictor.takes_frames

    def close(self) -> None:
        self.predictor.close()
        self.hold.close()


_DEFAULTS = LoadOptions()

# Given the name of a load's step (fetch, verify, load, prove), what to do around it.
Timed: TypeAlias = Callable[[str], AbstractContextManager[None]]


def untimed(_: str) -> AbstractContextManager[None]:
    return nullcontext()


def load_path(path: str | Path, options: LoadOptions = _DEFAULTS, *, timed: Timed = untimed) -> LoadedModel:
    """Loads and proves the package in a directory.

    Raises PackageNotFound, PackageInvalid, SealBroken, FlavorUnknown, DependencyMissing, EnvironmentMismatch,
    CodeNotTrusted, CodeConflict, ArtifactInvalid, ProofFailed.
    """
    return load_package(PackagedModel.open(path), options, timed=timed)


def load_package(package: PackagedModel, options: LoadOptions = _DEFAULTS, *, timed: Timed = untimed) -> LoadedModel:
    """Loads and proves an opened package, which stays in its cache until the model is closed. Raises what load_path
    raises."""
    held = hold(package.path)
    try:
        return _load(package, options, held, timed)
    except BaseException:
        held.close()
        raise


def _load(package: PackagedModel, options: LoadOptions, held: PackageHold, timed: Timed) -> LoadedModel:
    with timed("verify"):
        package.verify()
    if options.strict_env:
        package.check_environment(options.flavor)
    for library in package.environment(options.flavor):
        if library.differs:
            log.warning(
                "%s was made with %s %s; installed is %s. The model's answers may differ.",
                package.path.name,
                library.name,
                library.packaged,
                library.installed or "none",
            )
    with timed("load"):
        predictor = package.load(trust_code=options.trust_code, flavor=options.flavor, threads=options.threads)
    try:
        with timed("prove"):
            proof = prove(predictor, package)
    except BaseException:
        predictor.close()
        raise
    for warning in proof.warnings:
        log.warning("%s: %s", package.path.name, warning)
    return LoadedModel(package, predictor, proof, options.flavor, hold=held)


def load_version(
    version: ModelVersion,
    options: LoadOptions = _DEFAULTS,
    *,
    fetch: Callable[[ModelVersion], CachedPackage] | None = None,
    timed: Timed = untimed,
) -> LoadedModel:
    """Fetches a registered version, then loads and proves it. Raises what `fetch`, the registry's own, and load_path
    raise."""
    if fetch is None:
        from penstock.artifacts import fetch_package

        package = fetch_package(version.source, version.digest)
    else:
        with timed("fetch"):
            package = fetch(version)
    with package:
        return load_path(package.path, options, timed=timed)


Resolve: TypeAlias = "Callable[[ModelReference, Registry], ModelVersion]"


def fetch_url(url: str) -> CachedPackage:
    """A local copy of the package at a URL, in the cache that PENSTOCK_CACHE names. Raises what RemotePackage does."""
    from penstock.artifacts.remote_package import RemotePackage

    return RemotePackage(url, PackageCache(default_cache())).fetch()


def fetch_reference(
    reference: ModelReference,
    registry: Registry | None,
    resolve: Resolve | None = None,
    *,
    fetch_url: Callable[[str], CachedPackage] = fetch_url,
) -> tuple[str, CachedPackage]:
    """The number of the version that a user named, empty where it has none, and its package on this machine.

    `registry` may be None where the reference needs none. `resolve` says which version a name means, `fetch_url` brings
    a package from an object store. Raises PackageNotFound, SealBroken, ModelNotFound, AliasNotFound, VersionNotFound,
    Unsupported, RegistryUnavailable, RegistryDenied, DependencyMissing, CacheUnusable.
    """
    if reference.path is not None:
        return "", CachedPackage(reference.path)
    if reference.url:
        return "", fetch_url(reference.url)
    assert registry is not None
    if reference.uri:
        return "", registry.fetch_uri(reference.uri)
    version = reference.resolve(registry) if resolve is None else resolve(reference, registry)
    return version.version, registry.fetch(version)


def load_reference(
    reference: ModelReference,
    registry: Registry | None,
    options: LoadOptions = _DEFAULTS,
    resolve: Resolve | None = None,
) -> tuple[str, LoadedModel]:
    """The same, loaded and proven. A package without a version is named by the beginning of its digest.

    Raises what fetch_reference and load_path raise.
    """
    version, package = fetch_reference(reference, registry, resolve)
    with package:
        loaded = load_path(package.path, options)
    return version or loaded.digest[:12], loaded
