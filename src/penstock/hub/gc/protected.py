"""Which files stay, wherever they are: those of registered versions, and of runs and models that are not garbage."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import Connection

from penstock.hub.gc.naming import places_named
from penstock.hub.gc.plan import OwnedPlace
from penstock.sql.dialect import run

_RUN = re.compile(r"runs:/+([^/]+)/+(.+)", re.DOTALL)
_URI_OF = "SELECT artifact_uri FROM penstock_"
_LOGGED = re.compile(r"models:/+([^/]+)/?")

# Ids that are names in places of others.
_RESERVED = ("models", "artifacts")

_REGULAR = "artifact_uri = ? || CAST(experiment AS TEXT) || ? || {column} || ? AND {column} NOT LIKE ?"
# Of each kind: its table, its column of ids, and what is before the id in the place that the hub makes for it.
_OWNERS = (("run", "runs", "run_id", "/"), ("model", "logged_models", "model_id", "/models/"))


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


def read_protected(
    c: Connection, root: str, garbage: Sequence[OwnedPlace], doomed: Collection[tuple[str, int]] = ()
) -> ProtectedPlaces:
    """`garbage` is what is to be removed, `doomed` the kinds and keys of those that are still in their tables. Where it
    is marked already, no version is registered with any of it from then on."""
    return ProtectedPlaces({*_of_versions(c, root, garbage), *_of_owners(c, root, garbage, doomed)})


def _of_versions(c: Connection, root: str, garbage: Sequence[OwnedPlace]) -> Iterator[str]:
    """In the form of their source, and in that of their origin, which MLflow's clients load."""
    gone = {(each.kind, each.owner): f"mlflow-artifacts:/{each.place}" for each in garbage if each.place}
    for source, origin in run(c, "SELECT source, origin FROM penstock_versions"):
        yield from places_named(source, root, relative=True)
        yield from places_named(origin, root)
        if match := _RUN.fullmatch(source):
            uri = gone.get(("run", match[1])) or run(c, f"{_URI_OF}runs WHERE run_id = ?", match[1]).scalar()
            yield from places_named(f"{uri or ''}/{match[2]}", root)
        elif match := _LOGGED.fullmatch(source):
            uri = gone.get(("model", match[1]))
            uri = uri or run(c, f"{_URI_OF}logged_models WHERE model_id = ?", match[1]).scalar()
            yield from places_named(uri or "", root)


def _of_owners(
    c: Connection, root: str, garbage: Sequence[OwnedPlace], doomed: Collection[tuple[str, int]]
) -> Iterator[str]:
    """Two places as the hub makes them are never in each other, and there may be millions, so these are read only where
    some garbage is in another kind of place."""
    places = ProtectedPlaces(each.place for each in garbage if each.place)
    unusual = any(each.place and not _is_regular(each) for each in garbage)
    for kind, table, column, before in _OWNERS:
        statement = f"SELECT id, artifact_uri FROM penstock_{table}"
        regular = ("mlflow-artifacts:/", before, "/artifacts", "%/%")
        if unusual:
            found = run(c, statement)
        else:
            found = run(c, f"{statement} WHERE NOT ({_REGULAR.format(column=column)})", *regular)
        for key, uri in found:
            if (kind, key) in doomed:
                continue
            for place in places_named(uri, root):
                if not unusual or places.covers(place) or places.inside(place):
                    yield place


def _is_regular(each: OwnedPlace) -> bool:
    """Whether no place that the hub makes for something else can be in it, nor it in that."""
    parts = each.place.split("/")
    if each.kind == "package":
        return len(parts) == 2 and not parts[0].isdigit()
    above = ["models"] if each.kind == "model" else []
    return parts[0].isdigit() and parts[1:] == [*above, each.owner, "artifacts"] and each.owner not in _RESERVED
