"""The model registry. `open_registry` makes one of a URL; `interface` says what it can do; other files are backends.

Importing this package imports no SQLAlchemy: a backend is imported when a URL asks for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from penstock.artifacts import PackageCache, default_cache
from penstock.errors import ConfigError
from penstock.registry.history import AliasMove, MoveKind, rollback_target
from penstock.registry.interface import PRODUCTION, ModelVersion, NewVersion, RegisteredModel, Registry
from penstock.registry.names import check_alias, check_name, check_tag
from penstock.store_places import refuse_mistyped

__all__ = [
    "DEFAULT_URL",
    "PRODUCTION",
    "AliasMove",
    "ModelVersion",
    "MoveKind",
    "NewVersion",
    "RegisteredModel",
    "Registry",
    "check_alias",
    "check_name",
    "check_tag",
    "open_registry",
    "rollback_target",
]

DEFAULT_URL = "./penstock-registry"

# Stands before what MLflow's own variables hold where that is no server: `sqlite:///…` means something else to MLflow.
MLFLOW_STORE = "mlflow+"

# Scheme -> the function that opens it: (url, artifacts, read_only, cache) -> Registry. "" is a plain path.
_OPENERS = {
    "": "penstock.registry.opening:open_embedded",
    "file": "penstock.registry.opening:open_embedded",
    "sqlite": "penstock.registry.opening:open_sqlite",
    "postgresql": "penstock.registry.opening:open_postgresql",
    "postgresql+psycopg": "penstock.registry.opening:open_postgresql",
    "postgres": "penstock.registry.opening:open_postgresql",
    "memory": "penstock.registry.memory:open_memory",
}

# Two letters at least: "C:\models" is a path.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):")

_Opener: TypeAlias = Callable[[str, str | None, bool, PackageCache], Registry]


def open_registry(
    url: str | Path | None = None,
    *,
    artifacts: str | Path | None = None,
    read_only: bool = False,
    cache: str | None = None,
    cache_size: int | None = None,
    max_package_size: int | None = None,
) -> Registry:
    """The registry at `url`, which the caller closes.

    `url` is a directory (or `file:` URL) with an embedded registry, `sqlite:///path.db`, `postgresql://…`, `memory:`,
    or `http://…` or `https://…`, a Penstock hub or an MLflow tracking server; None is `./penstock-registry`.
    `artifacts` is the directory or URL where packages are kept; where it is None they lie beside the database file, and
    for PostgreSQL it must be given. `cache` is where packages from a server or an object store are copied to, up to
    `cache_size` bytes, and up to `max_package_size` each; None is PENSTOCK_CACHE or a directory among the user's
    caches, PENSTOCK_CACHE_SIZE or 10 GiB, and PENSTOCK_MAX_PACKAGE_SIZE or 64 GiB. Opening connects to nothing and
    creates nothing; an embedded registry is created by its first write. `read_only` refuses every write with
    RegistryReadOnly.

    Raises ConfigError, DependencyMissing.
    """
    url = str(url or DEFAULT_URL)
    artifacts = None if artifacts is None else str(artifacts)
    if not url.startswith(MLFLOW_STORE):
        refuse_mistyped(url)
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    packages = PackageCache(Path(_absolute(cache)) if cache else default_cache(), cache_size, max_package_size)
    if scheme in ("http", "https"):
        from penstock.registry.server import open_server

        return open_server(url, read_only=read_only, cache=packages)
    if url.startswith(MLFLOW_STORE):
        raise _mlflow_without_server(url.removeprefix(MLFLOW_STORE))
    if scheme not in _OPENERS:
        raise ConfigError(
            f"Unknown registry scheme {scheme!r}.",
            hint="Use a directory, sqlite:///path.db, postgresql://…, or http://… for a hub or an MLflow server.",
        )
    if scheme in ("", "file"):
        url = _absolute(url)
    module, _, name = _OPENERS[scheme].partition(":")
    opener: _Opener = getattr(import_module(module), name)
    return opener(url, None if artifacts is None else _absolute(artifacts), read_only, packages)


def _mlflow_without_server(store: str) -> ConfigError:
    """For what MLFLOW_TRACKING_URI may hold and nobody but MLflow reads. The store's URL may hold a password."""
    if store.partition(":")[0] in ("databricks", "databricks-uc", "uc"):
        return ConfigError(
            "MLflow's variables set a Databricks workspace as the registry, which Penstock does not support.",
            hint="Download the model, and serve the directory: mlflow artifacts download -u models:/…",
        )
    kind = _SCHEME.match(store)
    shown = store if kind is None or kind[1].lower() in ("sqlite", "file") else f"{kind[1]}:…"
    return ConfigError(
        f"MLflow's variables set {shown} as the registry, but Penstock reads MLflow's registry only from a server.",
        hint=f"Start one: mlflow server --backend-store-uri {shown}; and set MLFLOW_TRACKING_URI to its address. For "
        "Penstock's own registry set PENSTOCK_REGISTRY.",
    )


def _absolute(place: str) -> str:
    """A plain path or `file:` URL as an absolute path; any other URL as it is. Raises ConfigError."""
    found = _SCHEME.match(place)
    if found and found[1].lower() == "file":
        parts = urlsplit(place)
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(f"{place} names another host.", hint="A file: URL looks like file:///srv/models.")
        from urllib.request import url2pathname  # here, since that imports http and ssl

        place = url2pathname(parts.path)
    elif found:
        return place
    return os.path.abspath(os.path.expanduser(place))
