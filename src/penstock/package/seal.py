"""The seal: `SHA256SUMS` in a package, which `sha256sum -c` checks too, and the digest that names a package.

The digest is the SHA-256 of the canonical listing (one line `<hex>  <path>` per file, sorted by path, the seal itself
left out). It is computed in the same way where no seal is present, so packages that MLflow wrote have one as well.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from penstock.errors import PackageInvalid, SealBroken

SEAL = "SHA256SUMS"

# Written into a downloaded copy by MLflow 2.x clients, not part of what was packaged.
_NOT_CONTENT = frozenset({SEAL, "registered_model_meta"})


# Names that sha256sum would escape, that would break the listing's lines, or that are not UTF-8, cannot be sealed.
_NAME = re.compile(r"[^\\\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")


def list_files(directory: Path) -> list[str]:
    """Relative POSIX paths of a package's files, sorted. Raises PackageInvalid for links and odd names.

    Links are refused: what they point to is not sealed, and may lie anywhere.
    """
    found: list[str] = []
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
                found.append(relative)
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise PackageInvalid(f"The folder {error.filename} cannot be read: {error.strerror}.")


def hash_files(directory: Path) -> dict[str, str]:
    """SHA-256 in hex of every file, by relative path, in order. Raises PackageInvalid."""
    return {name: _hash(directory / name) for name in list_files(directory)}


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
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
    path = directory / SEAL
    if not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        sealed = {name: value for value, name in (line.split("  ", 1) for line in lines if line)}
    except (OSError, ValueError) as error:
        raise SealBroken(f"The seal {path} cannot be read: {error}.") from None
    problems = [
        *(f"{name} has changed" for name in sorted(sealed.keys() & hashes.keys()) if sealed[name] != hashes[name]),
        *(f"{name} is missing" for name in sorted(sealed.keys() - hashes.keys())),
        *(f"{name} was added" for name in sorted(hashes.keys() - sealed.keys())),
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        compiled = all("__pycache__/" in problem and problem.endswith(" was added") for problem in problems)
        raise SealBroken(
            f"The package {directory} does not match its seal: {', '.join(problems[:5])}{more}.",
            hint="Programs that import from the package, such as MLflow, leave compiled modules there: delete "
            "__pycache__."
            if compiled
            else "Fetch or package the model again; do not serve this package.",
        )
