"""Where packages are kept: stores that hold them by digest, and the cache for those that come from elsewhere."""

from penstock.artifacts.cache import PackageCache, default_cache
from penstock.artifacts.stores import ArtifactStore, LocalStore, fetch_package, open_store

__all__ = ["ArtifactStore", "LocalStore", "PackageCache", "default_cache", "fetch_package", "open_store"]
