"""Which places a stranger may name for files: what locations of experiments and sources of versions have in common.

Whoever reads the files later follows the name, with credentials of its own. So what is allowed is listed, and all else
is refused: one place, without a query or a fragment, in a store whose address the reader knows itself.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

# Stores whose host is not part of the URL: it has the name of a bucket there.
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})

# What a tracking server, or a workspace that the client is configured for, resolves.
_WITHOUT_HOST = frozenset({"mlflow-artifacts", "runs", "models", "dbfs"})

# No bucket is called like an address.
_BUCKET = re.compile(r"(?![0-9]+(?:\.[0-9]+){3}$)[A-Za-z0-9][A-Za-z0-9._-]*")
# The one form of host that names an account of a known provider. Source: MLflow 3.18, `azure_blob_artifact_repo.py`.
_WASBS = re.compile(r"[A-Za-z0-9$-]+@[A-Za-z0-9]+\.blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)")
_MAX_LENGTH = 4096


def objection(url: str, root: str) -> str:
    """Why a place is refused; empty for one that is not. `root` is where the hub keeps its own files: its store may be
    named, whatever it is."""
    seen = url
    for _ in range(10):
        if why := _objection_to_form(seen):
            return why
        decoded = unquote(seen)
        if decoded == seen:
            return _objection_to_place(url, root)
        seen = decoded
    return "it is encoded too often"


def _objection_to_form(seen: str) -> str:
    """In the form that a place has, or in any that decoding it gives."""
    if len(seen) > _MAX_LENGTH:
        return "it is too long"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in seen):
        return "control characters are not allowed"
    if "#" in seen or "?" in seen or "::" in seen:
        return "fragments, queries and chained URLs are not allowed"
    parts = [part.partition(";")[0] for part in re.split(r"[/\\]", seen)]  # some readers stop at the semicolon
    return "relative parts are not allowed" if ".." in parts or "." in parts[1:] else ""


def _objection_to_place(url: str, root: str) -> str:
    try:
        parts, own = urlsplit(url), urlsplit(root)
    except ValueError:
        return "it is no URL"
    scheme = parts.scheme.lower()
    if url != url.strip():
        return "it has blanks around it"
    if parts.netloc and (scheme, parts.netloc) == (own.scheme, own.netloc):
        return ""
    if scheme in STORES:
        return "" if _BUCKET.fullmatch(parts.netloc) else f"{scheme}: names a bucket, and neither a host nor a user"
    if scheme in _WITHOUT_HOST:
        return f"{scheme}: names no host" if parts.netloc else ""
    if scheme in ("", "file"):
        return _objection_to_path(url, parts)
    if scheme == "wasbs" and _WASBS.fullmatch(parts.netloc):
        return ""
    return f"{scheme}: is none of the kinds of places that may be named, such as s3://bucket/path"


def _objection_to_path(url: str, parts: SplitResult) -> str:
    """Of a path on the disk of whoever reads it."""
    if parts.netloc not in ("", "localhost") or (parts.netloc and not parts.scheme):
        return "it names another host"
    if "\\" in url or (not parts.scheme and ":" in url.partition("/")[0]):
        return "it is neither a path nor a URL"
    return "file: takes an absolute path" if parts.scheme and not parts.path.startswith("/") else ""
