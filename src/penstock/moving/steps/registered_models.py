"""Registered models with their versions, and what the files of these say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from penstock.moving.checking import MAX_MODEL_NAME, name_fault
from penstock.moving.fingerprints import registered_model_mark, version_mark
from penstock.moving.records import Broken, Kind, SourceModel
from penstock.moving.steps.session import REASONS, ImportSession, held_by_model
from penstock.moving.verdicts import Verdict, verdict
from penstock.registry.entries import ModelVersion, RegisteredModel

PROMPT_TAG = "mlflow.prompt.is_prompt"


def model_clashes(session: ImportSession) -> list[Broken]:
    """Models that have the name of another one here, which was never brought over from this source."""
    found = []
    for given in session.source.registered_models():
        if isinstance(given, Broken) or name_fault(given.model.name, MAX_MODEL_NAME):
            continue
        here = session.target.registered_model(given.model.name)
        known = session.target.marks("model", [given.model.name])
        if here is not None and not known and registered_model_mark(given.model) != registered_model_mark(here[0]):
            found.append(Broken("registered models", given.model.name, "the store has another model of this name"))
    return found


def bring_registered_models(session: ImportSession) -> None:
    for given in session.source.registered_models():
        checked = session.checker.registered_model(given) if isinstance(given, SourceModel) else None
        session.noted([given])
        if checked is not None:
            _bring_model(session, checked)
        elif isinstance(given, SourceModel):
            holds: dict[Kind, int] = {**held_by_model(given), "registered models": 0}
            session.tally.skip(holds, given.model.name, "its model is not here")


def _bring_model(session: ImportSession, given: SourceModel) -> None:
    name = given.model.name
    here, versions = session.target.registered_model(name) or (None, {})
    before = session.target.marks("model", [name]).get(name)
    mark = registered_model_mark(given.model)
    found = verdict(mark, before, None if here is None else registered_model_mark(here))
    if found == "gone" or (found == "conflict" and before is None):
        session.tally.skip(held_by_model(given), name, REASONS[found])
        return
    prompt = given.model.tags.get(PROMPT_TAG) == "true"
    placed = [session.files.version(session, each, prompt=prompt) for each in given.versions]
    changed, marks = _versions_to_write(session, placed, versions)
    describe = found in ("new", "update")
    known = {*versions, *(each.version for each in changed)}
    model = replace(given.model, aliases={a: v for a, v in given.model.aliases.items() if v in known})
    _count_model(session, given.model, model, here, found)
    if session.dry_run:
        return
    model_marks = {} if found == "conflict" else {name: mark}
    session.target.write_model(
        model, given.last_number, changed, {"model": model_marks, "version": marks}, describe=describe
    )
    for each in _not_described(placed, versions, changed, marks):
        _describe_package(session, each, prompt=prompt)


def _versions_to_write(
    session: ImportSession, given: list[ModelVersion], here: Mapping[str, ModelVersion]
) -> tuple[list[ModelVersion], dict[str, bytes]]:
    """Those that are new or have changed, and the marks of all that are here then as their source has them."""
    before = session.target.marks("version", [_name_of(each) for each in given])
    changed, marks = list[ModelVersion](), dict[str, bytes]()
    for each in given:
        at, mark, there = _name_of(each), version_mark(each), here.get(each.version)
        found = verdict(mark, before.get(at), None if there is None else version_mark(there))
        if found in REASONS:
            session.tally.skip({"model versions": 1, "model version tags": len(each.tags)}, at, REASONS[found])
            continue
        if found in ("new", "update"):
            changed.append(each)
        elif there is not None and there.source != each.source:  # files that were copied since have another place
            changed.append(replace(there, source=each.source))
        marks[at] = mark
        session.tally.bring("model versions", int(found == "new"), int(found != "new"))
        new = len(each.tags) if found == "new" else 0
        session.tally.bring("model version tags", new, len(each.tags) - new)
    return changed, marks


def _not_described(
    given: list[ModelVersion],
    here: Mapping[str, ModelVersion],
    changed: list[ModelVersion],
    marks: Mapping[str, bytes],
) -> list[ModelVersion]:
    """Those whose files are to be read: of what was written, and of what came without its files before, which may have
    come since."""
    written = {each.version: each for each in changed}
    without = (
        here[each.version]
        for each in given
        if each.version not in written and _name_of(each) in marks and here[each.version].digest is None
    )
    return [*changed, *without]


def _count_model(
    session: ImportSession,
    given: RegisteredModel,
    kept: RegisteredModel,
    here: RegisteredModel | None,
    found: Verdict,
) -> None:
    if found == "conflict":
        holds: dict[Kind, int] = {"registered models": 1, "registered model tags": len(given.tags)}
        session.tally.skip({**holds, "aliases": len(given.aliases)}, given.name, REASONS[found])
        return
    session.tally.bring("registered models", int(found == "new"), int(found != "new"))
    tags, aliases = ({}, {}) if here is None else (here.tags, here.aliases)
    known = sum(tags.get(key) == value or found == "kept" for key, value in kept.tags.items())
    session.tally.bring("registered model tags", len(kept.tags) - known, known)
    known = sum(aliases.get(alias) == number or found == "kept" for alias, number in kept.aliases.items())
    session.tally.bring("aliases", len(kept.aliases) - known, known)
    for alias in given.aliases.keys() - kept.aliases.keys():
        session.tally.note([Broken("aliases", f"{given.name}@{alias}", "its version is not here")])


def _describe_package(session: ImportSession, version: ModelVersion, *, prompt: bool) -> None:
    """As a hub does when a version is registered with it."""
    if prompt or version.status != "READY":
        return
    facts = session.files.package(version.source, session.target.artifacts)
    if facts is None:
        why = "its files cannot be read from here: it has no digest, signature, size and flavors"
        session.tally.note([Broken("model versions", _name_of(version), why, kept=True)])
    else:
        session.target.registry.record_package(version.name, version.version, facts, message=version.status_message)


def _name_of(version: ModelVersion) -> str:
    return f"{version.name}/{version.version}"
