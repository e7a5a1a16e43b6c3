"""Registered models as they were elsewhere: numbers, times, stages and aliases kept, within a transaction of the
caller's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from penstock.registry.entries import ModelVersion, RegisteredModel
from penstock.registry.history import MoveKind
from penstock.registry.sql.rows import aliases_of, json_text
from penstock.sql.tables import aliases, model_changes, models, moves, versions


def import_model(
    c: Connection,
    model: RegisteredModel,
    last_number: int,
    changed: Sequence[ModelVersion],
    *,
    describe: bool,
    at: datetime,
    by: str,
) -> None:
    """Writes the versions that `changed`; and, where it is to `describe` it, the model's description, tags and aliases.
    What is known of a version's files stays. Of an alias one line of history is written, since there is no older one.
    """
    row = _model_row(c, model)
    values: dict[str, Any] = {"last_number": max(row.last_number, last_number), "deleted": False}
    if describe or row.deleted:
        values |= {"description": model.description, "tags": json_text(model.tags)}
        values |= {"created_at": model.created_at, "updated_at": model.updated_at or model.created_at}
    c.execute(update(models).where(models.c.id == row.id).values(**values))
    _write_versions(c, row.id, changed)
    if describe:
        _write_aliases(c, row.id, model.aliases, at, by)


def _model_row(c: Connection, model: RegisteredModel) -> Row[Any]:
    wanted = select(models).where(models.c.name == model.name).with_for_update()
    found = c.execute(wanted).one_or_none()
    if found is None:
        new = {"name": model.name, "created_at": model.created_at, "last_number": 0, "deleted": True, "tags": "{}"}
        c.execute(insert(models).values(**new, updated_at=model.updated_at or model.created_at))
        found = c.execute(wanted).one()
        _tell(c, found.id, "create", model.created_at, "", None)
    return found


def _write_versions(c: Connection, model_id: int, changed: Sequence[ModelVersion]) -> None:
    numbers = [int(each.version) for each in changed]
    known: set[int] = set()
    for start in range(0, len(numbers), 5000):
        some = versions.c.number.in_(numbers[start : start + 5000])
        known |= set(c.execute(select(versions.c.number).where(versions.c.model_id == model_id, some)).scalars())
    for version in changed:
        number = int(version.version)
        values = _columns(version)
        if number in known:
            this = (versions.c.model_id == model_id, versions.c.number == number)
            c.execute(update(versions).where(*this).values(**values))
        else:
            facts = {"digest": None, "signature": None, "flavors": "[]", "size_bytes": 0}
            c.execute(insert(versions).values(model_id=model_id, number=number, **facts, **values))
            _tell(c, model_id, "register", version.created_at, version.registered_by, number)


def _columns(version: ModelVersion) -> dict[str, Any]:
    """What a row holds of a version, but for its key and for what its files say."""
    return {
        "source": version.source,
        "description": version.description,
        "run_id": version.run_id,
        "registered_by": version.registered_by,
        "tags": json_text(version.tags),
        "origin": version.origin,
        "stage": version.stage,
        "run_link": version.run_link,
        "logged_model": version.logged_model,
        "status": version.status,
        "status_message": version.status_message,
        "created_at": version.created_at,
        "updated_at": version.updated_at or version.created_at,
    }


def _write_aliases(c: Connection, model_id: int, wanted: Mapping[str, str], at: datetime, by: str) -> None:
    before = aliases_of(c, model_id)
    for alias in sorted(before.keys() | wanted.keys()):
        start, end = before.get(alias), wanted.get(alias)
        if start == end:
            continue
        c.execute(delete(aliases).where(aliases.c.model_id == model_id, aliases.c.alias == alias))
        if end is not None:
            c.execute(insert(aliases).values(model_id=model_id, alias=alias, number=int(end)))
        kind: MoveKind = "remove" if end is None else "promote"
        line: dict[str, Any] = {"kind": kind, "from_number": None if start is None else int(start)}
        line |= {"to_number": None if end is None else int(end), "at": at, "by": by}
        c.execute(insert(moves).values(model_id=model_id, alias=alias, reason="As it was imported.", **line))


def _tell(c: Connection, model_id: int, kind: str, at: datetime, by: str, number: int | None) -> None:
    line = {"model_id": model_id, "number": number, "kind": kind, "at": at, "by": by, "detail": ""}
    c.execute(insert(model_changes).values(**line))
