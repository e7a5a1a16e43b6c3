"""Which places below the hub's artifacts a URI may name, in whatever form somebody wrote it.

For what is to stay: one place too many keeps a file longer, and one that is missed loses it. So it is every place to
which some reader might come, by the text and by the links on this machine's disk.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote

_PROXIED = re.compile(r"mlflow-artifacts:(?://[^/]*)?(.*)", re.DOTALL | re.IGNORECASE)
_FILE = re.compile(r"(?:file:(?://[^/]*)?)?(/.*)", re.DOTALL | re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*:", re.IGNORECASE)
_SAME_SCHEMES = {"s3a": "s3", "gcs": "gs"}


def places_named(uri: str, root: str, *, relative: bool = False) -> set[str]:
    """Paths below `root`, where the artifacts are; none for the root itself and for a place elsewhere. `relative` is
    whether a path without a beginning is below the root, as the registry has it."""
    found: set[str] = set()
    for text in {uri, unquote(uri)}:  # clients decode what is in a URL, and trees do not
        found.update(_named(text, root, relative))
    return found - {"", "."}


def _named(text: str, root: str, relative: bool) -> Iterator[str]:
    if match := _PROXIED.fullmatch(text):
        yield from _inside(_normal(match[1]), "/")
    elif match := _FILE.fullmatch(text):
        yield from _local(match[1], root)
    elif "://" in text:
        if "://" in root:
            yield from _inside(_url(text), _url(root))
    elif relative and not _SCHEME.match(text):
        path = posixpath.normpath(text)
        if path.partition("/")[0] != "..":
            yield path
        yield from _local(os.path.abspath(text), root)


def _local(path: str, root: str) -> Iterator[str]:
    if match := _FILE.fullmatch(root):
        tops = {match[1], unquote(match[1])} if root[:5].lower() == "file:" else {root}
    elif "://" in root:
        return
    else:
        tops = {os.path.abspath(root)}
    for top in tops:
        for known in {_normal(top), os.path.realpath(top)}:
            yield from _inside(_normal(path), known)
            if "\0" not in path:
                yield from _inside(os.path.realpath(path), known)


def _inside(path: str, top: str) -> Iterator[str]:
    beginning = f"{top.rstrip('/')}/"
    if path.startswith(beginning):
        yield path.removeprefix(beginning)


def _normal(path: str) -> str:
    """From the top, without doubled slashes and without parts that stand for others."""
    return posixpath.normpath(f"/{path.lstrip('/')}")


def _url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    return f"{_SAME_SCHEMES.get(scheme, scheme)}:/{_normal(rest)}"
