"""Which files stay, wherever they are: those of registered versions, and of runs and models in unusual places."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from sqlalchemy import Connection

from penstock.errors import TrackingInvalid
from penstock.hub.files.places import own_path
from penstock.hub.version_sources import below
from penstock.sql.dialect import run


class ProtectedPlaces:
    """Directories below the hub's artifacts that somebody still refers to."""

    def __init__(self, places: Iterable[str]) -> None:
        self._sorted = sorted(set(places))

    def covers(self, path: str) -> str | None:
        """The protected directory that a path is, or is in."""
        parts = path.split("/")
        above = ("/".join(parts[: n + 1]) for n in range(len(parts)))
        return next((each for each in above if self._has(each)), None)

    def inside(self, path: str) -> str | None:
        """A protected directory that is below a path."""
        at = bisect_left(self._sorted, f"{path}/")
        found = self._sorted[at] if at < len(self._sorted) else ""
        return found if found.startswith(f"{path}/") else None

    def _has(self, path: str) -> bool:
        at = bisect_left(self._sorted, path)
        return at < len(self._sorted) and self._sorted[at] == path


def read_protected(c: Connection, root: str) -> ProtectedPlaces:
    """Read after garbage was marked: no version is registered with any of it from then on."""
    places = [below(root, row[0]) for row in run(c, "SELECT source FROM penstock_versions")]
    unusual = (
        "SELECT artifact_uri FROM penstock_runs WHERE artifact_uri NOT LIKE ? || run_id || ?",
        "SELECT artifact_uri FROM penstock_logged_models WHERE artifact_uri NOT LIKE ? || model_id || ?",
    )
    for statement, way in zip(unusual, ("%/", "%/models/"), strict=True):
        for row in run(c, statement, way, "/artifacts"):
            try:
                places.append(own_path(row[0], root) or "")
            except TrackingInvalid:  # a place that nothing of ours is in
                continue
    return ProtectedPlaces(place for place in places if place)
