"""Runs, a page at a time, and then the points of those whose points are not all here."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.moving.checking import shown
from penstock.moving.fingerprints import run_mark, text_mark
from penstock.moving.records import Broken, PointBlock, SourceRun
from penstock.moving.steps.session import REASONS, ImportSession, held_by_run
from penstock.moving.verdicts import Verdict, verdict
from penstock.tracking.runs import Run

# Points in one transaction, about: what others wait for, and what a run that is cut off reads again.
BATCH_POINTS = 100_000


def bring_runs(session: ImportSession) -> None:
    for page in session.source.runs():
        given = []
        for each in page:
            if isinstance(each, SourceRun) and (checked := session.checker.run(each)) is not None:
                given.append(checked)
            elif isinstance(each, SourceRun):
                session.tally.skip({**held_by_run(each), "runs": 0}, shown(each.run.run_id), "its run is not here")
        session.noted(page)
        brought = _bring_page(session, given)
        session.advance("runs", len(page))
        _bring_points(session, brought)


def _bring_page(session: ImportSession, given: Sequence[SourceRun]) -> list[SourceRun]:
    """Says which of them are here now, as their source has them."""
    ids = [each.run.run_id for each in given]
    here, marks = session.target.runs(ids), session.target.marks("run", ids)
    brought, written, kept = list[SourceRun](), list[SourceRun](), dict[str, bytes]()
    for original in given:
        each = session.files.run(original)
        run = each.run
        if run.experiment_id not in session.experiments:
            session.tally.skip(held_by_run(each), run.run_id, f"its experiment {run.experiment_id} is not here")
            continue
        before, mark = here.get(run.run_id), run_mark(run)
        found = verdict(mark, marks.get(run.run_id), None if before is None else run_mark(before))
        if found in REASONS:
            session.tally.skip(held_by_run(each), run.run_id, REASONS[found])
            continue
        if found in ("new", "update"):
            written.append(each)
        brought.append(original)
        kept[run.run_id] = mark
        _count(session, run, before, found)
    if not session.dry_run:
        if written or kept != marks:
            session.target.write_runs(written, kept)
        session.files.copy_runs(session, brought)
    return brought


def _bring_points(session: ImportSession, brought: Sequence[SourceRun]) -> None:
    """Those of runs to which some were added since. Where nothing is written they are counted alone."""
    marks = session.target.marks("points", [each.run.run_id for each in brought])
    wanted = []
    for each in brought:
        known = marks.get(each.run.run_id) == text_mark(each.points_mark)
        if known or session.dry_run or each.points == 0:
            count = each.points or 0
            session.tally.bring("metric points", 0 if known else count, count if known else 0)
            session.advance("metric points", count)
        else:
            wanted.append(each)
    if wanted:
        _PointWriter(session, wanted).write()


class _PointWriter:
    """Gathers blocks until they are worth a transaction. A run has its mark once its last block is written."""

    def __init__(self, session: ImportSession, wanted: Sequence[SourceRun]) -> None:
        self._session = session
        self._wanted = wanted
        # Mutable state: blocks that are not written yet, how many points they have, and runs that end with them.
        self._blocks: list[PointBlock] = []
        self._points = 0
        self._ended: list[str] = []

    def write(self) -> None:
        current = ""
        for block in self._session.source.points(self._wanted):
            if isinstance(block, Broken):
                self._session.tally.note([block])
                continue
            if block.run_id != current:
                self._ended += [current] if current else []
                current = block.run_id
            if not self._session.checker.key(block.run_id, block.key, len(block.points)):
                self._session.noted(())
                continue
            self._blocks.append(block)
            self._points += len(block.points)
            if self._points >= BATCH_POINTS:
                self._flush()
        self._ended = [each.run.run_id for each in self._wanted]
        self._flush()

    def _flush(self) -> None:
        session = self._session
        marks = {each.run.run_id: text_mark(each.points_mark) for each in self._wanted}
        new = session.target.write_points(self._blocks, {run_id: marks[run_id] for run_id in self._ended})
        session.tally.bring("metric points", new, self._points - new)
        session.advance("metric points", self._points)
        self._blocks, self._points, self._ended = [], 0, []


def _count(session: ImportSession, run: Run, before: Run | None, found: Verdict) -> None:
    tally = session.tally
    tally.bring("runs", int(found == "new"), int(found != "new"))
    for kind, given, there in (
        ("params", set(run.params.items()), set() if before is None else set(before.params.items())),
        ("tags", set(run.tags.items()), set() if before is None else set(before.tags.items())),
    ):
        known = len(given) if found == "kept" else len(given & there)
        tally.bring("params" if kind == "params" else "tags", len(given) - known, known)
    known = len(run.datasets) if found == "kept" else 0 if before is None else len(before.datasets)
    known = min(known, len(run.datasets))
    tally.bring("dataset inputs", len(run.datasets) - known, known)
    models = {*run.model_inputs, *run.model_outputs}
    there_models = set() if before is None else {*before.model_inputs, *before.model_outputs}
    known = len(models) if found == "kept" else len(models & there_models)
    tally.bring("models of runs", len(run.model_inputs) + len(run.model_outputs) - known, known)
