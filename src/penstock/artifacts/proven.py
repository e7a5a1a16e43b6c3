"""Notes on packages that have been loaded and proven on this machine, each with the versions of what they ran with."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson

from penstock.storage.atomic import replace_file

log = logging.getLogger("penstock.artifacts")

_FOLDER = "proven"

# So many notes are kept, those that were written last.
_MOST = 1000


class ProvenPackages:
    """The notes of one cache directory, beside the packages and never inside one. Reading and writing them never fails:
    at worst a package counts as unproven."""

    def __init__(self, cache: Path, *, most: int = _MOST) -> None:
        self._folder = cache / _FOLDER
        self._most = most
        self._complained = False  # the whole mutable state: whether it was said that none can be written

    def knows(self, digest: str, versions: Mapping[str, str]) -> bool:
        """Whether the package of this digest was proven with just these versions."""
        try:
            kept = orjson.loads(self._path(digest, versions).read_bytes())
            return bool(kept["digest"] == digest and kept["versions"] == dict(versions))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def add(self, digest: str, versions: Mapping[str, str]) -> None:
        """Written in one step, for a package that has just been proven."""
        note = {"digest": digest, "versions": dict(versions), "proven_at": datetime.now(UTC)}
        try:
            replace_file(self._path(digest, versions), orjson.dumps(note))
            self._trim()
        except OSError as error:
            if not self._complained:
                self._complained = True
                log.warning(
                    "It cannot be noted in %s which packages have been proven, so each start tries them again: %s.",
                    self._folder,
                    error.strerror or error,
                )

    def _path(self, digest: str, versions: Mapping[str, str]) -> Path:
        key = orjson.dumps([digest, dict(versions)], option=orjson.OPT_SORT_KEYS)
        return self._folder / f"{hashlib.sha256(key).hexdigest()[:32]}.json"

    def _trim(self) -> None:
        notes = list(self._folder.glob("*.json"))
        if len(notes) > self._most:
            for old in sorted(notes, key=_written)[: len(notes) - self._most]:
                old.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"<ProvenPackages in {self._folder}>"


def _written(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except OSError:
        return 0.0
