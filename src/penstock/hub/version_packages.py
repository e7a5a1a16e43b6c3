"""What the files of a registered version say: read once, when it is registered, wherever the hub's artifacts are."""

from __future__ import annotations

import hashlib
import logging
import re
import time

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import PackageInvalid, PenstockError
from penstock.manifest import FILE_NAME, Manifest
from penstock.package.seal import SEAL, digest_of
from penstock.registry.entries import PackageFacts

log = logging.getLogger("penstock.hub")

# A registration waits for this, and its client for two minutes.
MAX_SECONDS = 60.0

_MAX_FILES = 20_000
_MAX_DEPTH = 32
_MANIFEST_LIMIT = 16 * 1024 * 1024
_CHUNK = 8 * 1024 * 1024  # a request to a store each
_NOT_CONTENT = frozenset({SEAL, "registered_model_meta"})
_COMPILED = re.compile(r"(?:.*/)?__pycache__/[^/]+\.pyc")


def read_package(tree: ArtifactTree, place: str) -> PackageFacts | None:
    """None where there is no package, or none that can be read in the time there is. Takes as long as hashing does."""
    try:
        return _read(tree, place, time.monotonic() + MAX_SECONDS)
    except (PenstockError, OSError, ValueError) as error:
        log.warning("The files at %s were registered without a digest: %s", ascii(place[:300]), error)
        return None


def _read(tree: ArtifactTree, place: str, deadline: float) -> PackageFacts | None:
    sizes = _files(tree, place, deadline)
    if FILE_NAME not in sizes:
        log.warning("The version at %s was registered, but no %s is there to load.", ascii(place[:300]), FILE_NAME)
        return None
    sealed = SEAL in sizes
    content = {name: size for name, size in sizes.items() if name not in _NOT_CONTENT}
    if sealed:  # compiled modules that came later are no part of it
        listed = _content(tree, f"{place}/{SEAL}").decode()
        content = {name: size for name, size in content.items() if name in listed or not _COMPILED.fullmatch(name)}
    manifest = Manifest.parse(_content(tree, f"{place}/{FILE_NAME}"))
    hashes = {name: _hash(tree, f"{place}/{name}", deadline) for name in sorted(content)}
    signature = manifest.signature
    return PackageFacts(
        digest=digest_of(hashes),
        signature=None if signature is None else signature.to_mlflow(),
        flavors=tuple(manifest.flavors),
        size_bytes=sum(content.values()),
    )


def _files(tree: ArtifactTree, place: str, deadline: float) -> dict[str, int]:
    """Every file's size by relative path."""
    pending, found = [""], dict[str, int]()
    seen = 0
    while pending:
        below = pending.pop()
        _check(deadline)
        for entry in tree.entries(f"{place}/{below}".rstrip("/")):
            path = f"{below}/{entry.name}".lstrip("/")
            seen += 1
            if seen > _MAX_FILES or path.count("/") > _MAX_DEPTH:
                raise PackageInvalid("There are too many files for a package.")
            if entry.size is None:
                pending.append(path)
            else:
                found[path] = entry.size
    return found


def _content(tree: ArtifactTree, path: str) -> bytes:
    opened = tree.open(path)
    with opened.file as file:
        if opened.size > _MANIFEST_LIMIT:
            raise PackageInvalid(f"{path} is too large.")
        pieces = []
        while piece := file.read(_CHUNK):
            pieces.append(piece)
        return b"".join(pieces)


def _hash(tree: ArtifactTree, path: str, deadline: float) -> str:
    digest = hashlib.sha256()
    with tree.open(path).file as file:
        while piece := file.read(_CHUNK):
            _check(deadline)
            digest.update(piece)
    return digest.hexdigest()


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise PackageInvalid(f"Reading them took longer than {MAX_SECONDS:.0f} seconds.")
