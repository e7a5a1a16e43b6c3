"""The model registry. `open_registry` makes one of a URL; `interface` says what it can do; other files are backends.

Importing this package imports no SQLAlchemy: a backend is imported when a URL asks for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from penstock.errors import ConfigError, Unsupported
from penstock.registry.interface import (
    PRODUCTION,
    AliasMove,
    ModelVersion,
    MoveKind,
    NewVersion,
    RegisteredModel,
    Registry,
    check_alias,
    check_name,
    check_tag,
    rollback_target,
)

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

# Scheme -> the function that opens it: (url, artifacts, read_only) -> Registry. "" is a plain path.
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

_Opener: TypeAlias = Callable[[str, str | None, bool], Registry]


def open_registry(url: str | None = None, *, artifacts: str | None = None, read_only: bool = False) -> Registry:
    """The registry at `url`, which the caller closes.

    `url` is a directory (or `file:` URL) with an embedded registry, `sqlite:///path.db`, `postgresql://…` or `memory:`;
    None is `./penstock-registry`. `artifacts` is the directory or URL where packages are kept; where it is None they
    lie beside the database file, and for PostgreSQL it must be given. Opening connects to nothing and creates nothing;
    an embedded registry is created by its first write. `read_only` refuses every write with RegistryReadOnly.

    Raises ConfigError, DependencyMissing, Unsupported.
    """
    url = url or DEFAULT_URL
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme in ("http", "https"):
        raise Unsupported(
            "MLflow tracking servers are not supported as a registry by this release yet.",
            hint="Use a directory, sqlite:///… or postgresql://….",
        )
    if scheme not in _OPENERS:
        raise ConfigError(
            f"No registry is known by the scheme {scheme!r}.",
            hint="Use a directory, sqlite:///path.db, postgresql://… or memory:.",
        )
    if scheme in ("", "file"):
        url = _absolute(url)
    module, _, name = _OPENERS[scheme].partition(":")
    opener: _Opener = getattr(import_module(module), name)
    return opener(url, None if artifacts is None else _absolute(artifacts), read_only)


def _absolute(place: str) -> str:
    """A plain path or `file:` URL as an absolute path; any other URL as it is. Raises ConfigError."""
    found = _SCHEME.match(place)
    if found and found[1].lower() == "file":
        parts = urlsplit(place)
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(f"{place} names another host.", hint="A file: URL looks like file:///srv/models.")
        place = url2pathname(parts.path)
    elif found:
        return place
    return os.path.abspath(os.path.expanduser(place))
