"""Places of files that a source names, as the tree and the path in it to read them by.

Whoever could log to the old server could name any place. So what is copied, and handed out by the hub from then on, is
on this machine only what lies inside of directories that the person who imports has named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penstock.artifacts.opening import open_tree
from penstock.artifacts.trees import ArtifactTree, LocalTree
from penstock.errors import Unsupported
from penstock.payload import clipped
from penstock.storage.schemes import require_store, scheme_of


def local_path(place: str) -> str | None:
    """A place of this machine as a path, None for any other. Raises Unsupported for another machine's."""
    scheme = scheme_of(place)
    if scheme == "file" and not is_here(place):
        raise Unsupported(f"{clipped(place)} is a file of another machine.")
    return None if scheme not in ("", "file") else unquote(urlsplit(place).path if scheme else place)


def is_here(place: str) -> bool:
    """Whether a `file:` URL names this machine."""
    return host_of(place) in ("", "localhost")


def host_of(place: str) -> str:
    """The host or bucket of a URL; the whole of it for a text that is none, though it looks like one."""
    try:
        return urlsplit(place).netloc
    except ValueError:
        return place


def tree_of(place: str) -> tuple[ArtifactTree, str]:
    """Raises Unsupported for a place that nothing is read from. Connects to nothing."""
    path = local_path(place)
    above, _, name = (place if path is None else path).rstrip("/").rpartition("/")
    if path is not None:
        return LocalTree(Path(above or "/")), name
    require_store(place)
    if "://" not in above or not host_of(place):
        raise Unsupported(f"{clipped(place)} names no place in a store.")
    return open_tree(above), name


class NamedDirectories:
    """Directories of this machine that files may be copied from: what is inside of them, and not by a link out."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._roots = tuple(dict.fromkeys(os.path.realpath(each) for each in directories if each))

    def __repr__(self) -> str:
        return f"<NamedDirectories {' '.join(self._roots)}>"

    def objection(self, place: str) -> str:
        """Why nothing is copied from there, empty where it may be: a store's URL is as good as its credentials."""
        if not place:
            return "it names no place"
        try:
            path = local_path(place)
            if path is None:
                require_store(place)
            if path is None or self._inside(path) is not None:
                return ""
        except (Unsupported, OSError, ValueError) as error:
            return str(error).rstrip(".")
        named = " and ".join(self._roots) or "every directory that was named"
        return f"{clipped(place)} lies outside of {named}; to copy it, name its directory as the root of artifacts"

    def tree_of(self, place: str) -> tuple[ArtifactTree, str]:
        """Raises Unsupported."""
        if why := self.objection(place):
            raise Unsupported(f"{why}.")
        path = local_path(place)
        found = None if path is None else self._inside(path)
        return tree_of(place) if found is None else found

    def _inside(self, path: str) -> tuple[ArtifactTree, str] | None:
        real = os.path.realpath(path)
        for root in self._roots:
            if root != "/" and real.startswith(f"{root}/"):
                return LocalTree(Path(root)), real.removeprefix(f"{root}/")
        return None
