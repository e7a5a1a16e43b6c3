"""Where a version comes from: how its signature differs from that of the version before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.registry.interface import ModelVersion, Registry
from penstock.signature import breaking_changes
from penstock.signature.difference import Change, changes


@dataclass(frozen=True, slots=True)
class VersionLineage:
    """Against `previous`, the version with the next lower number. `compatible` is None where one of the two has no
    signature; `breaks` says in words what would break callers."""

    previous: str
    changes: tuple[Change, ...]
    breaks: tuple[str, ...]
    compatible: bool | None

    def as_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "previous": self.previous,
            "compatible": self.compatible,
            "breaks": list(self.breaks),
            "changes": [
                {"kind": c.kind, "side": c.side, "field": c.field, "before": c.before, "after": c.after}
                for c in self.changes
            ],
        }


def lineage(registry: Registry, version: ModelVersion) -> VersionLineage | None:
    """None for the first version. Raises what the registry raises."""
    earlier = [v for v in registry.versions(version.name) if int(v.version) < int(version.version)]
    if not earlier:
        return None
    previous = earlier[-1]
    old, new = registry.signature(previous), registry.signature(version)
    if old is None or new is None:
        return VersionLineage(previous.version, (), (), None)
    breaks = breaking_changes(old, new)
    return VersionLineage(previous.version, tuple(changes(old, new)), tuple(breaks), not breaks)
