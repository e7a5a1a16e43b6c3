"""What a registry last said, kept on this machine: a gateway that starts while the registry is away serves that.

One small file for each registry and reference, beside the packages in the cache. Kept is what was loaded, proven and
answered, so that a version that could not be served here is not what a restart begins with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.artifacts.notes import CacheNote
from penstock.errors import RegistryDenied, RegistryOutdated, RegistryUnavailable
from penstock.registry.interface import ModelVersion

log = logging.getLogger("penstock.registry")

# The registry cannot be reached, rejects the token or is of another release: its last answer is better than none.
UNREACHABLE = (RegistryUnavailable, RegistryDenied, RegistryOutdated)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A version, and when it was seen to be the one."""

    version: ModelVersion
    seen_at: datetime


class LastResolution:
    """Of one reference in one registry. Reading and writing it never fails: at worst there is nothing to recall.

    `place` names the registry, without credentials, which may change; `reference` is what is followed there.
    """

    def __init__(self, cache: Path, place: str, reference: str) -> None:
        self._note = CacheNote(cache, registry=place, model=reference)
        self.path = self._note.path
        # The whole mutable state: what was written last, whether it was said that a number was used again.
        self._written: ModelVersion | None = None
        self._complained = False

    def recall(self) -> Resolution | None:
        """None where nothing was kept, or what was kept cannot be read."""
        return self._note.read(_parse)

    def remember(self, version: ModelVersion) -> None:
        """Written when it changes, in one step: a kill leaves the one before. A number that was used again, as MLflow
        does after a deletion, is another version: what answers is the one that was known by it before."""
        before = self._written
        if version == before:
            return
        if before is not None and before.version == version.version and before.created_at != version.created_at:
            if not self._complained:
                self._complained = True
                log.warning(
                    "%s: version %s was deleted and registered again. The earlier version keeps serving until a "
                    "restart.",
                    version.name,
                    version.version,
                )
            return
        if self._note.write(seen_at=datetime.now(UTC), version=version):
            self._written, self._complained = version, False

    def __repr__(self) -> str:
        return f"<LastResolution: {self._note}>"


@dataclass(frozen=True, slots=True)
class Search:
    """The models that a pattern stood for, each with its version's number, and when that was so."""

    names: dict[str, str]
    seen_at: datetime


class LastSearch:
    """The same for a pattern of names. Which version of each was served, a LastResolution of it knows."""

    def __init__(self, cache: Path, place: str, pattern: str) -> None:
        self._note = CacheNote(cache, registry=place, pattern=pattern)
        self._written: dict[str, str] | None = None  # the whole mutable state: what was written last

    def recall(self) -> Search | None:
        """None where nothing was kept, or what was kept cannot be read."""
        return self._note.read(_parse_search)

    def remember(self, names: Mapping[str, str]) -> None:
        """Written when it changes."""
        if names != self._written and self._note.write(seen_at=datetime.now(UTC), names=dict(names)):
            self._written = dict(names)

    def __repr__(self) -> str:
        return f"<LastSearch: {self._note}>"


def _parse_search(kept: dict[str, Any]) -> Search:
    return Search({str(n): str(v) for n, v in dict(kept["names"]).items()}, datetime.fromisoformat(kept["seen_at"]))


def _parse(kept: dict[str, Any]) -> Resolution:
    fields = {**kept["version"], "created_at": datetime.fromisoformat(kept["version"]["created_at"])}
    for name in ("flavors", "aliases"):
        fields[name] = tuple(fields[name])
    if fields.get("updated_at") is not None:
        fields["updated_at"] = datetime.fromisoformat(fields["updated_at"])
    return Resolution(ModelVersion(**fields), datetime.fromisoformat(kept["seen_at"]))


def resolve_or_recall(resolve: Callable[[], ModelVersion], last: LastResolution) -> ModelVersion:
    """A version that stays the same, by its number: what it is has been told once. Raises what `resolve` raises, where
    that is an answer or there is nothing to recall."""
    try:
        version = resolve()
    except UNREACHABLE as error:
        found = last.recall()
        if found is None:
            raise
        log.warning(
            "The registry cannot be reached; using version %s of %s as resolved on %s UTC. %s",
            found.version.version,
            found.version.name,
            f"{found.seen_at:%Y-%m-%d %H:%M:%S}",
            error,
        )
        return found.version
    last.remember(version)
    return version
