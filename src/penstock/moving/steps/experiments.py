"""Experiments: ids and names are few and must be free, so clashes are found before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.moving.checking import shown
from penstock.moving.fingerprints import experiment_mark
from penstock.moving.records import Broken
from penstock.moving.steps.session import REASONS, ImportSession, held_by_experiment
from penstock.moving.verdicts import Verdict, verdict
from penstock.tracking.experiments import DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME, Experiment


class ExperimentStep:
    """`clashes` are experiments that have the id or name of another one here: nothing of them can be brought over."""

    def __init__(self, session: ImportSession) -> None:
        self._session = session
        given = list(session.source.experiments())
        self._given = [session.files.experiment(each) for each in _single(session, given)]
        session.noted(given)
        ids = [each.experiment_id for each in self._given]
        self._here = session.target.experiments(ids)
        self._marks = session.target.marks("experiment", ids)
        self._taken = self._names_taken()
        self._clashes = {each.experiment_id: why for each in self._given if (why := self._clash(each))}

    @property
    def clashes(self) -> list[Broken]:
        return [Broken("experiments", at, why) for at, why in self._clashes.items()]

    def bring(self) -> None:
        session, written, marks = self._session, list[Experiment](), dict[str, bytes]()
        for each in self._given:
            at, found = each.experiment_id, self._verdict(each)
            why = self._clashes.get(at) or REASONS.get(found, "")
            if not self._clashes.get(at) and found != "gone":
                session.experiments.add(at)
            if found == "conflict" and at == DEFAULT_EXPERIMENT_ID:
                written.append(self._merged(each))
            elif why:
                session.tally.skip(held_by_experiment(each), at, why)
                continue
            elif found in ("new", "update"):
                written.append(each)
            marks[at] = experiment_mark(each)
            self._count(each, found)
        if not session.dry_run:
            session.target.write_experiments(written, marks)

    def _verdict(self, each: Experiment) -> Verdict:
        here, before = self._here.get(each.experiment_id), self._marks.get(each.experiment_id)
        if here is not None and before is None and self._is_untouched(here):
            return "update"
        return verdict(experiment_mark(each), before, None if here is None else experiment_mark(here))

    def _clash(self, each: Experiment) -> str:
        """Empty where there is none."""
        at = each.experiment_id
        here = self._here.get(at)
        foreign = here is not None and at not in self._marks and at != DEFAULT_EXPERIMENT_ID
        if here is not None and foreign and experiment_mark(here) != experiment_mark(each):
            return f"the store has another experiment with this id, {here.name!r}"
        holder = self._taken.get(each.name, at)
        return "" if holder == at else f"its name {each.name!r} is that of experiment {holder} in the store"

    def _names_taken(self) -> dict[str, str]:
        """Names of experiments here, by whom, but for those that are about to be given another one."""
        renamed = {each.experiment_id for each in self._given if self._verdict(each) == "update"}
        found = self._session.target.experiment_names([each.name for each in self._given])
        return {name: holder for name, holder in found.items() if holder not in renamed}

    def _is_untouched(self, here: Experiment) -> bool:
        """Whether it is the default one as every new store has it."""
        plain = here.name == DEFAULT_EXPERIMENT_NAME and not here.tags and here.lifecycle == "active"
        default = here.experiment_id == DEFAULT_EXPERIMENT_ID
        return default and plain and not self._session.target.has_runs(here.experiment_id)

    def _merged(self, each: Experiment) -> Experiment:
        """The store's own default experiment, with tags that it has not."""
        here = self._here[each.experiment_id]
        why = f"merged with the store's own, which keeps its name {here.name!r}, its location and its tags"
        self._session.tally.note([Broken("experiments", each.experiment_id, why, kept=True)])
        return replace(here, tags={**each.tags, **here.tags})

    def _count(self, each: Experiment, found: Verdict) -> None:
        here = self._here.get(each.experiment_id)
        there = {} if here is None else here.tags
        known = len(each.tags) if found == "kept" else sum(there.get(key) == value for key, value in each.tags.items())
        new = found == "new" or (found == "update" and each.experiment_id not in self._marks)
        self._session.tally.bring("experiments", int(new), int(not new))
        self._session.tally.bring("experiment tags", len(each.tags) - known, known)


def _single(session: ImportSession, given: Sequence[Experiment | Broken]) -> list[Experiment]:
    """Those that a store can hold beside each other: of two with one name, or one id, the first."""
    found, names, ids = list[Experiment](), dict[str, str](), set[str]()
    for each in given:
        if isinstance(each, Broken):
            continue
        at, checked = each.experiment_id, session.checker.experiment(each)
        if checked is None:
            session.tally.skip({**held_by_experiment(each), "experiments": 0}, shown(at), "its experiment is not here")
        elif at in ids:
            session.tally.skip(held_by_experiment(each), at, "there is another experiment with this id beside it")
        elif each.name in names:
            why = f"its name {shown(each.name)!r} is that of experiment {names[each.name]}, too: rename one of them"
            session.tally.skip(held_by_experiment(each), at, why)
        else:
            found.append(checked)
            ids.add(at)
            names[each.name] = at
    return found


def names_of(clashes: Sequence[Broken]) -> str:
    """The first few of them, in a message."""
    shown = "; ".join(f"{each.kind.removesuffix('s')} {each.id}: {each.reason}" for each in clashes[:3])
    return shown if len(clashes) <= 3 else f"{shown}; and {len(clashes) - 3} more"
