"""An import from beginning to end: clashes first, then each noun in turn, then the count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from penstock.errors import ImportFailed, remedy
from penstock.moving.files import FilePlan
from penstock.moving.records import KINDS, Broken, Kind
from penstock.moving.source import ImportSource
from penstock.moving.steps.experiments import ExperimentStep, names_of
from penstock.moving.steps.logged_models import bring_logged_models
from penstock.moving.steps.registered_models import bring_registered_models, model_clashes
from penstock.moving.steps.runs import bring_runs
from penstock.moving.steps.session import ImportSession, OnProgress
from penstock.moving.tally import ImportReport, counted
from penstock.moving.target import ImportTarget


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`dry_run` writes nothing. `skip_clashes` leaves out what has an id or name of another object in the store, where
    an import would be refused. `copy_artifacts` and `artifacts_root` are as in `FilePlan`."""

    dry_run: bool = False
    skip_clashes: bool = False
    copy_artifacts: bool = False
    artifacts_root: str = ""


def import_all(
    source: ImportSource,
    target: ImportTarget,
    options: ImportOptions,
    progress: OnProgress = lambda step, done, total: None,
    clock: Callable[[], float] = time.monotonic,
) -> ImportReport:
    """Brings over what is new in the source. Raises ImportFailed, before anything is written, for clashes; and what the
    source and the store raise, after which it goes on where it was when it is started again."""
    began = clock()
    there = source.counts()
    files = FilePlan(
        copy=options.copy_artifacts,
        root=options.artifacts_root,
        served=source.artifacts(),
        beside=source.directory,
    )
    total = there.get("runs", 0) + there.get("metric points", 0) + there.get("logged models", 0)
    session = ImportSession(source, target, files, options.dry_run, progress, total)
    experiments = ExperimentStep(session)
    if not (options.dry_run or options.skip_clashes) and (clashes := [*experiments.clashes, *model_clashes(session)]):
        raise _refused(target, clashes)
    if not options.dry_run:
        target.begin()
    try:
        experiments.bring()
        bring_runs(session)
        bring_logged_models(session)
        bring_registered_models(session)
        if not _is_settled(session, there):
            session.noted(source.orphans())
    except ImportFailed as error:
        if not options.dry_run and any(session.tally.new.values()):
            after = error.hint or "Start the import again, and it goes on there."
            error.hint = f"What was imported until now stays. {after}"
        raise
    return _report(session, there, clock() - began)


def _refused(target: ImportTarget, clashes: Sequence[Broken]) -> ImportFailed:
    """With the source that they came from, where it has another name now."""
    of_models = [each.id for each in clashes if each.kind == "registered models"]
    of_experiments = [each.id for each in clashes if each.kind == "experiments"]
    before = target.imported_before("experiment", of_experiments) or target.imported_before("model", of_models)
    message = f"Nothing was imported, since ids or names are taken in {target.place}: {names_of(clashes)}."
    if before:
        return ImportFailed(
            message,
            hint=f"Some were imported before as {before}: if that is this source, name it the same way.",
            remedy=remedy("same_source", place=before),
        )
    return ImportFailed(
        message,
        hint="Import into an empty store, or leave those out, with their runs and versions.",
        remedy=remedy("skip_clashes"),
    )


def _is_settled(session: ImportSession, there: Mapping[Kind, int]) -> bool:
    """Whether every object of the source is accounted for: looking for those that belong to nothing reads whole tables,
    and whoever writes to a SQLite file waits meanwhile."""
    return all(kind == "artifact files" or session.tally.total(kind) == there.get(kind) for kind in KINDS)


def _report(session: ImportSession, there: Mapping[Kind, int], seconds: float) -> ImportReport:
    """What the source holds is counted again where the first count does not fit: it may have grown meanwhile."""
    store = None if session.dry_run else session.target.counts()
    lines = counted(session.tally, there, store)
    if not all(line.agrees for line in lines):
        lines = counted(session.tally, session.source.counts(), store)
    return ImportReport(
        source=session.source.place,
        store=session.target.place,
        dry_run=session.dry_run,
        seconds=seconds,
        counted=lines,
        reasons={kind: dict(reasons) for kind, reasons in session.tally.reasons.items()},
        listed=tuple(session.tally.listed),
        unlisted=session.tally.unlisted,
        notes=_notes(session),
    )


def _notes(session: ImportSession) -> tuple[str, ...]:
    """What a person has to do besides."""
    runs = session.files.proxied
    if not runs:
        return ()
    left = f"{runs:,} runs keep their" if runs > 1 else "1 run keeps its"
    copied = "--copy-artifacts" if session.files.served is not None else "--copy-artifacts --artifacts-root THAT"
    return (
        f"{left} files with the old server (mlflow-artifacts:). Start the hub with --artifacts at the directory or URL "
        f"that was its --artifacts-destination; or import once more with {copied}.",
    )
