"""A collection of garbage from its plan to its end, beside hubs that run on the same store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TypeVar

from sqlalchemy import Connection

from penstock.artifacts.trees import ArtifactTree
from penstock.artifacts.walking import files_below, several_at_once
from penstock.errors import TrackingInvalid
from penstock.hub.files.places import own_path
from penstock.hub.gc import burying, clearing
from penstock.hub.gc.finding import find_deleted, read_leftovers
from penstock.hub.gc.packages import find_packages
from penstock.hub.gc.plan import FileCount, GcPlan, GcRequest, Kept, Leftover, OwnedPlace
from penstock.hub.gc.protected import ProtectedPlaces, read_protected
from penstock.sql.database import Database

T = TypeVar("T")

# An upload or a package to which nothing was written for so long, in seconds, belongs to nobody who is still at it.
_ABANDONED = 86_400.0


class StoreCollector:
    """`root` is where the artifacts are, as the registry of the store has it."""

    def __init__(self, database: Database, tree: ArtifactTree, root: str, now: float) -> None:
        self._database = database
        self._tree = tree
        self._root = root
        self._now = now

    def plan(self, request: GcRequest, on_place: Callable[[], None] = lambda: None) -> GcPlan:
        """What a collection would remove now; nothing is changed. `on_place` is called for each place whose files were
        counted. Raises what `find_deleted` raises."""
        plan, protected = self._database.read(lambda c: self._looked(c, find_deleted(c, request, self._root)))
        if not request.names_some:
            before = min(request.before / 1000, self._now - _ABANDONED)
            plan.packages = list(find_packages(self._tree, protected, before, plan.kept))
            for draft in self._tree.drafts(before):
                plan.drafts.add(1, draft.size or 0)
            protected = self._database.read(lambda c: self._looked(c, plan))[1]
            plan.packages = [each for each in plan.packages if not (protected.covers(each) or protected.inside(each))]
        self._count(plan, protected, on_place)
        return plan

    def collect(self, plan: GcPlan, request: GcRequest, on_place: Callable[[int], None] = lambda places: None) -> None:
        """Removes what is in the plan and is still as it was then. What stays for a reason found only now is added to
        `plan.kept`. `on_place` is told the places that are done. Whoever interrupts it loses nothing: the next
        collection goes on."""
        before = request.before
        for runs in _batches(plan.runs):
            self._database.write(partial(burying.bury_runs, doomed=runs, before=before))
        for models in _batches(plan.models):
            self._database.write(
                partial(burying.bury_models, doomed=models, before=before, experiments=plan.experiments)
            )
        locations = {each: self._bury_experiment(each, before) for each in plan.experiments}
        plan.experiments = [number for number, location in locations.items() if location is not None]
        plan.packages = [each for each in plan.packages if self._bury_package(each)]
        self._clear(plan, on_place)
        for location in filter(None, locations.values()):
            self._prune_experiment(location)
        if not request.names_some:
            self._tree.sweep(min(before / 1000, self._now - _ABANDONED))

    def _looked(self, c: Connection, plan: GcPlan) -> tuple[GcPlan, ProtectedPlaces]:
        """With what is to stay of what it names."""
        doomed = {("run", each.key) for each in plan.runs} | {("model", each.key) for each in plan.models}
        return plan, read_protected(c, self._root, [*chain.from_iterable(plan.garbage().values())], doomed)

    def _count(self, plan: GcPlan, protected: ProtectedPlaces, on_place: Callable[[], None]) -> None:
        """Each file once, though places may be in each other."""
        garbage = plan.garbage()
        counted = ProtectedPlaces(each.place for each in chain.from_iterable(garbage.values()) if each.place)
        seen = set()
        for kind, places in garbage.items():
            count = plan.counts.setdefault(kind, FileCount())
            for place in (each.place for each in places if each.place):
                if counted.covers(place) == place and place not in seen:
                    seen.add(place)
                    for file in files_below(self._tree, place):
                        if protected.covers(file.path) is None:
                            count.add(1, file.size)
                on_place()

    def _bury_experiment(self, number: int, before: int) -> str | None:
        return self._database.write(lambda c: burying.bury_experiment(c, number, before))

    def _prune_experiment(self, location: str) -> None:
        try:
            place = own_path(location, self._root)
        except TrackingInvalid:
            return
        if place:
            self._tree.prune(f"{place}/models")
            self._tree.prune(place)

    def _bury_package(self, place: str) -> bool:
        return self._database.write(lambda c: burying.bury_package(c, place))

    def _clear(self, plan: GcPlan, on_place: Callable[[int], None]) -> None:
        def look(c: Connection) -> tuple[list[Leftover], ProtectedPlaces]:
            found = read_leftovers(c)
            places = [OwnedPlace(each.kind, each.owner, each.place) for each in found]
            return found, read_protected(c, self._root, places)

        garbage, protected = self._database.read(look)
        for some in _batches(garbage):
            clearing.clear_rows(self._database, some)
            again = self._database.read(partial(clearing.owners_again, some=some))
            done = [each for each in some if each.owner in again]
            wanted = [each for each in some if each.owner not in again]
            remove = partial(clearing.clear_files, self._tree, protected=protected)
            with several_at_once(remove, wanted) as kept_there:
                for each, kept in zip(wanted, kept_there, strict=True):
                    if kept:
                        plan.kept.append(Kept(f"files at {kept}", "a registered version or another run has them"))
                    else:
                        done.append(each)
            self._database.write(partial(clearing.unmark, some=done))
            on_place(len(some))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + burying.BATCH] for start in range(0, len(items), burying.BATCH))
