"""Logged models, a page at a time, after the runs whose points about them they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.moving.checking import shown
from penstock.moving.fingerprints import logged_model_mark
from penstock.moving.records import Broken, Kind, SourceLoggedModel
from penstock.moving.steps.session import REASONS, ImportSession, held_by_logged_model
from penstock.moving.verdicts import verdict


def bring_logged_models(session: ImportSession) -> None:
    for page in session.source.logged_models():
        given = []
        for each in page:
            if isinstance(each, SourceLoggedModel) and (checked := session.checker.logged_model(each)) is not None:
                given.append(checked)
            elif isinstance(each, SourceLoggedModel):
                holds: dict[Kind, int] = {**held_by_logged_model(each), "logged models": 0}
                session.tally.skip(holds, shown(each.model.model_id), "its model is not here")
        session.noted(page)
        _bring_page(session, _of_runs_here(session, given))
        session.advance("logged models", len(page))


def _of_runs_here(session: ImportSession, given: list[SourceLoggedModel]) -> list[SourceLoggedModel]:
    """The models without what runs said of them that are not here, which is noted. A look does not know these."""
    if session.dry_run:
        return given
    runs = {metric.run_id for each in given for metric in each.model.metrics}
    here = session.target.runs(sorted(runs))
    found = []
    for each in given:
        kept = tuple(metric for metric in each.model.metrics if metric.run_id in here)
        if lost := len(each.model.metrics) - len(kept):
            why = "the run that logged it is not here"
            session.tally.note([Broken("logged model metrics", each.model.model_id, why, lost)])
        found.append(replace(each, model=replace(each.model, metrics=kept)))
    return found


def _bring_page(session: ImportSession, given: Sequence[SourceLoggedModel]) -> None:
    ids = [each.model.model_id for each in given]
    here, marks = session.target.logged_models(ids), session.target.marks("logged model", ids)
    written, kept, brought = list[SourceLoggedModel](), dict[str, bytes](), list[SourceLoggedModel]()
    for original in given:
        each = session.files.logged_model(original)
        model, holds = each.model, held_by_logged_model(each)
        if model.experiment_id not in session.experiments:
            session.tally.skip(holds, model.model_id, f"its experiment {model.experiment_id} is not here")
            continue
        before, mark = here.get(model.model_id), logged_model_mark(model, each.deleted)
        found = verdict(mark, marks.get(model.model_id), None if before is None else logged_model_mark(*before))
        if found in REASONS:
            session.tally.skip(holds, model.model_id, REASONS[found])
            continue
        if found in ("new", "update"):
            written.append(each)
        kept[model.model_id] = mark
        brought.append(original)
        for kind, count in holds.items():
            session.tally.bring(kind, count if found == "new" else 0, 0 if found == "new" else count)
    if not session.dry_run:
        if written or kept != marks:
            session.target.write_logged_models(written, kept)
        session.files.copy_logged_models(session, brought)
