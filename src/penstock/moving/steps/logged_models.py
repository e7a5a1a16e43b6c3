"""Logged models, a page at a time, after the runs whose points about them they have."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.moving.fingerprints import logged_model_mark
from penstock.moving.records import SourceLoggedModel
from penstock.moving.steps.session import REASONS, ImportSession, held_by_logged_model
from penstock.moving.verdicts import verdict


def bring_logged_models(session: ImportSession) -> None:
    for page in session.source.logged_models():
        checked = (session.checker.logged_model(each) for each in page if isinstance(each, SourceLoggedModel))
        given = [each for each in checked if each is not None]
        session.noted(page)
        _bring_page(session, given)
        session.advance("logged models", len(page))


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
