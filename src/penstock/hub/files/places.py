"""Where files of runs, models and versions are: which of the places that clients name the hub reads, and how.

A client says where an experiment keeps its files, so a location comes from a stranger: the hub connects to no host that
one names, and reads nothing of its own disk but what is below its artifacts. Source of the rules: MLflow 3.18,
`server/handlers.py` and `store/artifact/host_policy.py`.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.artifacts.opening import open_tree
from penstock.artifacts.trees import ArtifactTree, safe_path
from penstock.errors import TrackingInvalid
from penstock.hub.context import HubContext

_PROXIED = re.compile(r"mlflow-artifacts:(?://([^/]*))?/*(.*)", re.DOTALL)

# Stores whose host is not part of the URL: the hub's own client knows where they are.
_READABLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})
_SAME_SCHEMES = {"s3a": "s3", "gcs": "gs"}

# Schemes by which the URL says which host to connect to.
_HOSTS = frozenset({"http", "https", "ftp", "ftps", "sftp", "hdfs", "viewfs", "abfss", "r2", "b2"})


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
    if match := _PROXIED.fullmatch(uri):
        return _ours(hub, _joined(safe_path(match[2]), path))
    url = _canonical(uri)
    root = _canonical(hub.stores.registry.artifact_root)
    if f"{url}/".startswith(f"{root}/"):
        return _ours(hub, _joined(safe_path(url[len(root) + 1 :]), path))
    scheme = urlsplit(url).scheme
    if scheme in _HOSTS:
        raise TrackingInvalid(f"The artifacts are at {uri[:200]!a}, on a host that the hub does not connect to.")
    if "://" in url and scheme in _READABLE and "::" not in url:
        return FilePlace(open_tree(url), path, f"{url}/{path}", is_ours=False)
    raise TrackingInvalid(
        f"The artifacts are at {uri[:200]!a}, which only the machine that logged them can read.",
        hint="Experiments without an artifact_location of their own keep their files with the hub.",
    )


def names_host(url: str, root: str) -> bool:
    """Whether whoever reads a URL would connect to a host that it names, and that is not the one of the hub's own
    artifacts."""
    parts, own = urlsplit(url), urlsplit(root)
    return parts.scheme.lower() in _HOSTS and (parts.scheme.lower(), parts.netloc) != (own.scheme, own.netloc)


def check_location(location: str, root: str) -> str:
    """Where an experiment is to keep its files; `root` is where the hub keeps its own. Raises TrackingInvalid about
    `artifact_location`."""
    seen = location
    for _ in range(10):
        _check_form(location, seen)
        if (decoded := unquote(seen)) == seen:
            break
        seen = decoded
    else:
        raise _refused(location, "it is encoded too often")
    try:
        parts = urlsplit(location)
    except ValueError:
        raise _refused(location, "it is no URL") from None
    scheme = parts.scheme.lower()
    if scheme in ("runs", "models"):
        raise _refused(location, f"{scheme}: names no place for files")
    if names_host(location, root):
        raise _refused(location, f"{scheme}: names a host, which whoever reads the files would connect to")
    if scheme == "mlflow-artifacts":
        match = _PROXIED.fullmatch(location)
        if match is None or match[1]:
            raise _refused(location, "it names another host")
        safe_path(match[2])
    return location


def _check_form(location: str, seen: str) -> None:
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in seen):
        raise _refused(location, "control characters are not allowed")
    if "#" in seen or ";" in seen.rpartition("/")[2] or "::" in seen:
        raise _refused(location, "fragments, parameters and chained URLs are not allowed")
    if ".." in re.split(r"[/\\]", seen.partition("?")[0]):
        raise _refused(location, "relative parts are not allowed")
    query = seen.partition("?")[2]
    if ".." in query or any(".." in unquote(value) for _, value in parse_qsl(query)):
        raise _refused(location, "'..' is not allowed in a query")


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
