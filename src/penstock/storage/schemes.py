"""The kinds of places that packages may come from. Whoever writes a registry names places; not every driver that
happens to be installed is meant for that."""

from __future__ import annotations

import re

from penstock.errors import Unsupported
from penstock.payload import clipped

# Object stores and file systems of clusters, by the scheme of their URLs. `memory` is this process's own.
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "oss", "oci", "memory"})

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


def scheme_of(place: str) -> str:
    """The scheme of a URL in small letters; empty for a path."""
    found = _SCHEME.match(place)
    return found[1].lower() if found else ""


def require_store(url: str) -> None:
    """Raises Unsupported where a URL names no kind of store that packages come from, or one store inside another."""
    if "::" in url or any(ord(letter) < 32 or ord(letter) == 127 for letter in url):
        raise Unsupported(
            f"{clipped(repr(url))} is not a place for a package: a URL names one place, without '::' and control "
            "characters."
        )
    if (scheme := scheme_of(url)) not in STORES:
        raise Unsupported(
            f"{clipped(url)} is not a place for a package: Penstock reads no packages from {scheme or 'such'}: URLs.",
            hint="Use a directory, or an object store: s3://, gs://, abfss://.",
        )
