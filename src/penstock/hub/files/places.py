"""Where files of runs, models and versions are: which of the places that clients name the hub reads, and how.

A client says where an experiment keeps its files, so a location comes from a stranger: the hub connects to no host that
one names (`locations.py`), and reads nothing of its own disk but what is below its artifacts. Source of the rules:
MLflow 3.18, `server/handlers.py` and `store/artifact/host_policy.py`.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from penstock.artifacts.opening import open_tree
from penstock.artifacts.trees import ArtifactTree, safe_path
from penstock.errors import TrackingInvalid
from penstock.hub.context import HubContext
from penstock.hub.files.locations import STORES, objection

_PROXIED = re.compile(r"mlflow-artifacts:(?://([^/]*))?/*(.*)", re.DOTALL)

_SAME_SCHEMES = {"s3a": "s3", "gcs": "gs"}


class FilePlace(NamedTuple):
    """`path` is below the tree's root. `known_as` is what a registry would call it: a path below the hub's artifacts,
    or a URL. `is_ours` says whether it is below them."""

    tree: ArtifactTree
    path: str
    known_as: str
    is_ours: bool


def place_in(hub: HubContext, uri: str, path: str) -> FilePlace:
    """A path below the artifact URI of a run, a logged model or a version. Raises TrackingInvalid for a place that the
    hub does not read."""
    path = safe_path(path)
    own = own_path(uri, hub.stores.registry.artifact_root)
    if own is not None:
        return _ours(hub, _joined(own, path))
    url = _canonical(uri)
    scheme = urlsplit(url).scheme
    # Also of what was kept before it would have been refused.
    if why := objection(uri, hub.stores.registry.artifact_root):
        raise TrackingInvalid(f"The artifacts are at {uri[:200]!a}, which the hub does not read: {why}.")
    if scheme in STORES:
        return FilePlace(open_tree(url), path, f"{url}/{path}", is_ours=False)
    raise TrackingInvalid(
        f"The artifacts are at {uri[:200]!a}, which only the machine that logged them can read.",
        hint="Experiments without an artifact_location of their own keep their files with the hub.",
    )


def own_path(uri: str, root: str) -> str | None:
    """The path below the hub's artifacts, which are at `root`, that a URI names; None for a place elsewhere. Raises
    TrackingInvalid for one that might lead out of them."""
    if match := _PROXIED.fullmatch(uri):
        return safe_path(match[2])
    url, own = _canonical(uri), _canonical(root)
    return safe_path(url[len(own) + 1 :]) if f"{url}/".startswith(f"{own}/") else None


def check_location(location: str, root: str) -> str:
    """Where an experiment is to keep its files; `root` is where the hub keeps its own. Raises TrackingInvalid about
    `artifact_location`."""
    if why := objection(location, root):
        raise _refused(location, why)
    if ";" in unquote(location).rpartition("/")[2]:
        raise _refused(location, "parameters are not allowed")
    scheme = urlsplit(location).scheme.lower()
    if scheme in ("runs", "models"):
        raise _refused(location, f"{scheme}: names no place for files")
    if match := _PROXIED.fullmatch(location):
        safe_path(match[2])
    return location


def _ours(hub: HubContext, path: str) -> FilePlace:
    return FilePlace(hub.artifacts, path, path, is_ours=True)


def _canonical(url: str) -> str:
    """One spelling for one place."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.rstrip("/")
    scheme = scheme.lower()
    return f"{_SAME_SCHEMES.get(scheme, scheme)}://{rest.rstrip('/')}"


def _joined(root: str, path: str) -> str:
    return "/".join(part for part in (root, path) if part)


def _refused(location: str, why: str) -> TrackingInvalid:
    return TrackingInvalid(f"Invalid artifact_location: {location[:300]!a}: {why}.", field="artifact_location")
