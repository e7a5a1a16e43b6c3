"""How the package of a model comes to this machine: from a directory, an object store or a registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from penstock.artifacts import CachedPackage, PackageCache, default_cache
from penstock.artifacts.remote_package import RemotePackage
from penstock.config import Settings
from penstock.loading import fetch_reference
from penstock.registry import Registry
from penstock.registry.interface import ModelVersion
from penstock.registry.references import ModelReference
from penstock.registry.resolutions import LastResolution, resolve_or_recall
from penstock.serving.swap.preparing import FetchedPackage, SignatureGuard


def cache_of(settings: Settings) -> PackageCache:
    """Where packages from elsewhere are kept."""
    root = Path(settings.cache).expanduser().absolute() if settings.cache else default_cache()
    return PackageCache(root, settings.cache_size, settings.max_package_size)


def last_of(reference: ModelReference, registry: Registry) -> LastResolution:
    """Where it is kept which version a reference meant the last time."""
    return LastResolution(registry.cache.root, registry.place, str(reference))


def fetch_fixed(settings: Settings, reference: ModelReference, registry: Registry | None) -> FetchedPackage:
    """The package of a model that stays as it is. While the registry or the store cannot be reached, the package of
    the last time. Raises what fetch_reference raises."""
    cache = cache_of(settings)
    return FetchedPackage(
        *fetch_reference(
            reference, registry, _resolve_or_recall, fetch_url=lambda url: RemotePackage(url, cache).fetch_or_recall()
        )
    )


def _resolve_or_recall(reference: ModelReference, registry: Registry) -> ModelVersion:
    return resolve_or_recall(partial(reference.resolve, registry), last_of(reference, registry))


def fetch_now(settings: Settings, reference: ModelReference, registry: Registry | None) -> FetchedPackage:
    """The same for a command that ends: a registry or store that cannot be reached is an error."""
    cache = cache_of(settings)
    return FetchedPackage(
        *fetch_reference(reference, registry, fetch_url=lambda url: RemotePackage(url, cache).fetch())
    )


def fetch_of(
    settings: Settings, registry: Registry, current: Callable[[], str | None]
) -> Callable[[ModelVersion], CachedPackage]:
    """How a follower's versions become packages: with a look at their signatures, where the registry does not compare
    them when an alias moves."""
    if settings.allow_breaking:
        return registry.fetch
    # Asked each time: what a server is may be known only once it has answered.
    return SignatureGuard(registry.fetch, current, needed=lambda: not registry.guards_aliases).fetch
