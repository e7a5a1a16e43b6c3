"""What the files of a version say: read once, when it is registered, wherever the hub's artifacts are."""

from __future__ import annotations

import hashlib
import re
import time
from threading import Event

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import ArtifactNotFound, Closing, PackageInvalid, PenstockError
from penstock.manifest import FILE_NAME, Manifest
from penstock.package.seal import SEAL, digest_of
from penstock.registry.entries import PackageFacts

# A caller who waits for it is patient for so long, and its client for somewhat longer.
MAX_SECONDS = 60.0

_MAX_FILES = 20_000
_MAX_DEPTH = 32
_MANIFEST_LIMIT = 16 * 1024 * 1024
_CHUNK = 8 * 1024 * 1024  # a request to a store each
_NOT_CONTENT = frozenset({SEAL, "registered_model_meta"})
_COMPILED = re.compile(r"(?:.*/)?__pycache__/[^/]+\.pyc")


class Patience:
    """How long reading may take, and whether anybody is interested in it still."""

    def __init__(self, seconds: float = MAX_SECONDS, ended: Event | None = None) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._ended = ended

    def check(self) -> None:
        """Raises PackageInvalid after the time, Closing after the end."""
        if self._ended is not None and self._ended.is_set():
            raise Closing("The hub is ending.")
        if time.monotonic() > self._until:
            raise PackageInvalid(f"Reading the files took longer than {self._seconds:.0f} seconds.")


def read_package(tree: ArtifactTree, place: str, patience: Patience) -> PackageFacts | None:
    """None where there is no package. Takes as long as hashing does. Raises PackageInvalid for one that cannot be read,
    RegistryUnavailable, RegistryDenied."""
    try:
        return _read(tree, place, patience)
    except (OSError, ValueError) as error:
        raise PackageInvalid(f"The files at {place[:300]!a} cannot be read: {error}.") from error


def package_if_readable(tree: ArtifactTree, place: str) -> PackageFacts | None:
    """The same, in a minute at the most, for whoever goes on without it, and says so: None also where it raises."""
    try:
        return read_package(tree, place, Patience())
    except PenstockError:
        return None


def package_mark(tree: ArtifactTree, place: str, patience: Patience) -> str:
    """A text that is another one once any file of a package is. Much faster than reading them."""
    marks = []
    for path, size in sorted(_files(tree, place, patience).items()):
        patience.check()
        try:
            opened = tree.open(f"{place}/{path}")
        except ArtifactNotFound:  # removed since they were listed
            continue
        opened.file.close()
        marks.append(f"{path} {size} {opened.size} {opened.mark}")
    return hashlib.sha256("\n".join(marks).encode(errors="surrogateescape")).hexdigest()


def _read(tree: ArtifactTree, place: str, patience: Patience) -> PackageFacts | None:
    sizes = _files(tree, place, patience)
    if FILE_NAME not in sizes:
        return None
    sealed = SEAL in sizes
    content = {name: size for name, size in sizes.items() if name not in _NOT_CONTENT}
    if sealed:  # compiled modules that came later are no part of it
        listed = _content(tree, f"{place}/{SEAL}").decode()
        content = {name: size for name, size in content.items() if name in listed or not _COMPILED.fullmatch(name)}
    manifest = Manifest.parse(_content(tree, f"{place}/{FILE_NAME}"))
    hashes = {name: _hash(tree, f"{place}/{name}", patience) for name in sorted(content)}
    signature = manifest.signature
    return PackageFacts(
        digest=digest_of(hashes),
        signature=None if signature is None else signature.to_mlflow(),
        flavors=tuple(manifest.flavors),
        size_bytes=sum(content.values()),
    )


def _files(tree: ArtifactTree, place: str, patience: Patience) -> dict[str, int]:
    """Every file's size by relative path."""
    pending, found = [""], dict[str, int]()
    seen = 0
    while pending:
        below = pending.pop()
        patience.check()
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


def _hash(tree: ArtifactTree, path: str, patience: Patience) -> str:
    digest = hashlib.sha256()
    with tree.open(path).file as file:
        while piece := file.read(_CHUNK):
            patience.check()
            digest.update(piece)
    return digest.hexdigest()
