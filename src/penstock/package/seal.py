"""The seal: `SHA256SUMS` in a package, which `sha256sum -c` checks too, and the digest that names a package.

The digest is the SHA-256 of the canonical listing (one line `<hex>  <path>` per file, sorted by path, the seal itself
left out). It is computed in the same way where no seal is present, so packages that MLflow wrote have one as well.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

from penstock.errors import PackageInvalid, SealBroken
from penstock.package_file import SEAL_LIMIT, read_package_file
from penstock.payload import some
from penstock.sizes import shown_size

SEAL = "SHA256SUMS"

log = logging.getLogger("penstock.package")

# Written into a downloaded copy by MLflow 2.x clients, not part of what was packaged.
_NOT_CONTENT = frozenset({SEAL, "registered_model_meta"})


_COMPILED = re.compile(r"(?:.*/)?__pycache__/[^/]+\.pyc")

# Names that sha256sum would escape, that would break the listing's lines, or that are not UTF-8, cannot be sealed.
_NAME = re.compile(r"[^\\\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")

# A file longer than this that takes less of the disk than one part in so many holds nothing but gaps.
_LONG = 1 << 30
_SPARSEST = 100


def list_files(directory: Path) -> list[str]:
    """Relative POSIX paths of a package's files, sorted. Raises PackageInvalid for links and odd names.

    Links are refused: what they point to is not sealed, and may lie anywhere. Of a sealed package, compiled modules
    that are not in the seal are left out.
    """
    found: list[str] = []
    compiled: list[str] = []
    for folder, folders, files in os.walk(directory, onerror=_unreadable):
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = path.relative_to(directory).as_posix()
            if path.is_symlink():
                raise PackageInvalid(
                    f"The package {directory} holds a link, {relative}; a package may contain only regular files."
                )
            if not _NAME.fullmatch(relative):
                raise PackageInvalid(f"The package {directory} holds a file with an unusable name: {relative!r}.")
            if name in files and not path.is_file():
                raise PackageInvalid(f"The package {directory} holds {relative}, which is not a regular file.")
            if name in files and relative not in _NOT_CONTENT:
                (compiled if _COMPILED.fullmatch(relative) else found).append(relative)
    if compiled:
        sealed = read_seal(directory)
        found += compiled if sealed is None else [name for name in compiled if name in sealed]
    return sorted(found)


def compiled_since(directory: Path) -> list[str]:
    """The compiled modules that another program has left in a sealed package, by relative path, sorted.

    MLflow imports from packages without care for their seal. The files are no part of the package: they are not
    copied, and Penstock runs modules of packages from their source alone.
    """
    sealed = read_seal(directory)
    if sealed is None:
        return []
    found = (path.relative_to(directory).as_posix() for path in directory.rglob("__pycache__/*.pyc"))
    return sorted(name for name in found if name not in sealed)


def read_seal(directory: Path) -> dict[str, str] | None:
    """The hashes that the seal lists, by relative path; None where there is no seal. Raises SealBroken."""
    path = directory / SEAL
    if not path.exists():
        return None
    try:
        lines = read_package_file(path, SEAL_LIMIT).decode().splitlines()
        return {name: value for value, name in (line.split("  ", 1) for line in lines if line)}
    except (PackageInvalid, ValueError) as error:
        raise SealBroken(f"The seal {path} cannot be read: {error}.") from None


def _unreadable(error: OSError) -> None:
    raise PackageInvalid(f"The folder {error.filename} cannot be read: {error.strerror}.")


def hash_files(directory: Path) -> dict[str, str]:
    """SHA-256 in hex of every file, by relative path, in order. Raises PackageInvalid."""
    return {name: _hash(directory / name) for name in list_files(directory)}


def _refuse_empty_length(path: Path, status: os.stat_result) -> None:
    """A file may say that it is a terabyte and hold nothing: reading it would take hours. Raises PackageInvalid."""
    if status.st_size > _LONG and status.st_blocks * 512 < status.st_size // _SPARSEST:
        raise PackageInvalid(
            f"The file {path} claims {shown_size(status.st_size)} and holds {shown_size(status.st_blocks * 512)}.",
            hint="The package is damaged or forged.",
        )


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            _refuse_empty_length(path, os.fstat(file.fileno()))
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PackageInvalid(f"{path} cannot be read: {error.strerror}.") from None


def listing(hashes: Mapping[str, str]) -> bytes:
    """The canonical listing, which is also the seal's content."""
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)).encode()


def digest_of(hashes: Mapping[str, str]) -> str:
    """The package digest, 64 hex digits."""
    return hashlib.sha256(listing(hashes)).hexdigest()


def write_seal(directory: Path) -> str:
    """Seals the package as it is now, and returns its digest."""
    hashes = hash_files(directory)
    (directory / SEAL).write_bytes(listing(hashes))
    return digest_of(hashes)


def check_seal(directory: Path, hashes: Mapping[str, str]) -> None:
    """Compares the files' hashes with the seal; nothing to check where there is none.

    Raises SealBroken, which names every file that differs, is missing or was added.
    """
    sealed = read_seal(directory)
    if sealed is None:
        return
    problems = [
        *(f"{name} has changed" for name in sorted(sealed.keys() & hashes.keys()) if sealed[name] != hashes[name]),
        *(f"{name} is missing" for name in sorted(sealed.keys() - hashes.keys())),
        *(f"{name} was added" for name in sorted(hashes.keys() - sealed.keys())),
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise SealBroken(
            f"The package {directory} does not match its seal: {', '.join(problems[:5])}{more}.",
            hint="Fetch or package the model again; do not serve this package.",
        )
    if compiled := compiled_since(directory):
        log.warning(
            "The package %s holds compiled modules that are not in its seal: %s. Programs that import from it, such as "
            "MLflow, leave them there. They are not used; delete __pycache__.",
            directory,
            some(compiled),
        )
