"""Where packages are kept: stores that hold them by digest, and the cache for those that come from elsewhere."""

from penstock.artifacts.cache import PackageCache, default_cache
from penstock.artifacts.cached_package import CachedPackage, PackageHold, hold
from penstock.artifacts.remote import RemoteStore
from penstock.artifacts.stores import ArtifactStore, LocalStore, fetch_package, open_store

__all__ = [
    "ArtifactStore",
    "CachedPackage",
    "LocalStore",
    "PackageCache",
    "PackageHold",
    "RemoteStore",
    "default_cache",
    "fetch_package",
    "hold",
    "open_store",
]
