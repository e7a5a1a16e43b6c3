"""What each write does to the tables, within a transaction that the caller began."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from penstock.registry.entries import ChangeKind, ModelKey, NewVersion, PackageFacts, Stage
from penstock.registry.history import AliasMove, NewMove
from penstock.registry.refusals import (
    being_removed,
    model_exists,
    no_alias,
    no_model,
    refuse_if_moved,
    refuse_if_named,
)
from penstock.registry.sql.rows import aliases_of, json_text, keyed_model_row, model_row, version_columns, version_row
from penstock.sql.dialect import insert_or_leave
from penstock.sql.garbage_table import garbage
from penstock.sql.tables import aliases, model_changes, models, moves, versions


def insert_model(c: Connection, name: str, description: str, tags: dict[str, str], *, at: datetime, by: str) -> None:
    """Raises ModelExists."""
    model, is_new = _found_or_added(c, name, at)
    if not is_new and not model.deleted:
        raise model_exists(name)
    _update_model(c, model, description=description, tags=json_text(tags), deleted=False, created_at=at, updated_at=at)
    _tell(c, model, "create", at, by)


def insert_version(c: Connection, name: str, new: NewVersion, *, at: datetime) -> Row[Any]:
    """The row of the next version. Raises ModelNotFound, and PackageNotFound where its files are being removed."""
    model = _found_or_added(c, name, at)[0] if new.of_model is None else model_row(c, name, lock=True)
    if new.of_model not in (None, model.id):
        raise no_model(name)
    revived = {"deleted": False, "created_at": at, "tags": "{}", "description": ""} if model.deleted else {}
    number = model.last_number + 1
    _update_model(c, model, last_number=number, updated_at=at, **revived)
    times = {"created_at": at, "updated_at": at}
    c.execute(insert(versions).values(model_id=model.id, number=number, **times, **version_columns(new)))
    _refuse_garbage(c, new.source)
    _tell(c, model, "register", at, new.registered_by, number)
    return version_row(c, model, str(number))


def record_package(
    c: Connection, model: str | ModelKey, version: str, facts: PackageFacts | None, message: str
) -> Row[Any]:
    """The version's row, as it was before. Raises ModelNotFound, VersionNotFound."""
    found = model_row(c, model, lock=True) if isinstance(model, str) else keyed_model_row(c, model)
    row = version_row(c, found, version)
    said: dict[str, Any] = {"status": "READY", "status_message": message}
    if facts is not None:
        signature = None if facts.signature is None else json_text(facts.signature)
        said |= {"digest": facts.digest, "signature": signature}
        said |= {"flavors": json_text(facts.flavors), "size_bytes": facts.size_bytes}
    _update_version(c, row, **said)
    return row


def move_alias(c: Connection, move: NewMove) -> AliasMove:
    """Raises as `Registry._move_alias` says."""
    alias = move.alias
    model = model_row(c, move.name, lock=True)
    target = None if move.to is None else version_row(c, model, move.to).number
    named = aliases_of(c, model.id)
    if target is None and alias not in named:
        raise no_alias(move.name, alias, named)
    refuse_if_moved(move.name, alias, named.get(alias), move.expected)
    if named.get(alias) == move.to:
        return move.made(move.to)
    c.execute(delete(aliases).where(aliases.c.model_id == model.id, aliases.c.alias == alias))
    if target is not None:
        c.execute(insert(aliases).values(model_id=model.id, alias=alias, number=target))
    line = {"kind": move.kind, "from_number": named.get(alias), "to_number": target}
    line |= {"at": move.at, "by": move.by, "reason": move.reason}
    c.execute(insert(moves).values(model_id=model.id, alias=alias, **line))
    return move.made(named.get(alias))


def write_tag(
    c: Connection, name: str, version: str | None, key: str, value: str | None, *, at: datetime, by: str
) -> None:
    """None removes it. Raises ModelNotFound, VersionNotFound."""
    model = model_row(c, name, lock=True)
    row = model if version is None else version_row(c, model, version)
    tags = orjson.loads(row.tags)
    tags.pop(key, None)
    if value is not None:
        tags[key] = value
    (_update_model if version is None else _update_version)(c, row, tags=json_text(tags))
    _tell(c, model, "untag" if value is None else "tag", at, by, version, key)


def write_description(
    c: Connection, name: str, version: str | None, description: str, *, at: datetime, by: str
) -> None:
    """Raises ModelNotFound, VersionNotFound."""
    model = model_row(c, name, lock=True)
    row = model if version is None else version_row(c, model, version)
    (_update_model if version is None else _update_version)(c, row, description=description, updated_at=at)
    _tell(c, model, "describe", at, by, version)


def write_stage(
    c: Connection, name: str, version: str, stage: Stage, *, archive_existing: bool, at: datetime, by: str
) -> None:
    """Raises ModelNotFound, VersionNotFound."""
    model = model_row(c, name, lock=True)
    row = version_row(c, model, version)
    if archive_existing:
        others = select(versions).where(
            versions.c.model_id == model.id, versions.c.stage == stage, versions.c.number != row.number
        )
        for other in c.execute(others).all():
            _update_version(c, other, stage="Archived", updated_at=at)
            _tell(c, model, "stage", at, by, other.number, "Archived")
    _update_version(c, row, stage=stage, updated_at=at)
    _update_model(c, model, updated_at=at)
    _tell(c, model, "stage", at, by, version, stage)


def rename(c: Connection, name: str, new_name: str, *, at: datetime, by: str) -> None:
    """Raises ModelNotFound, ModelExists."""
    # Both in one order, whoever renames which to which: two who cross would wait for each other.
    both = select(models.c.id).where(models.c.name.in_((name, new_name))).order_by(models.c.id)
    c.execute(both.with_for_update()).all()
    model = model_row(c, name, lock=True)
    before = c.execute(select(models).where(models.c.name == new_name).with_for_update()).one_or_none()
    if before is not None and not before.deleted:
        raise model_exists(new_name)
    last = model.last_number
    if before is not None:
        # Its history stays, under a name that no model can have; its numbers are not used again under the old one.
        _update_model(c, before, name=f":{before.id}")
        last = max(last, before.last_number)
    try:
        with c.begin_nested():
            _update_model(c, model, name=new_name, updated_at=at, last_number=last)
    except IntegrityError:  # on PostgreSQL: another model has got the name since it was looked for
        raise model_exists(new_name) from None
    c.execute(update(versions).where(versions.c.model_id == model.id).values(updated_at=at))
    _tell(c, model, "rename", at, by, None, f"from {name}")


def delete_entry(c: Connection, name: str, version: str | None, *, with_aliases: bool, at: datetime, by: str) -> None:
    """Raises ModelNotFound, VersionNotFound, VersionInUse."""
    model = model_row(c, name, lock=True)
    number = None if version is None else version_row(c, model, version).number
    named = aliases_of(c, model.id)
    if not with_aliases:
        refuse_if_named(name, version, named)
    for alias, target in named.items():
        if version in (None, target):
            why = f"Version {target} was deleted."
            move_alias(c, NewMove(name, alias, "remove", None, target, at, by, why))
    _tell(c, model, "delete", at, by, number)
    gone = delete(versions).where(versions.c.model_id == model.id)
    c.execute(gone if number is None else gone.where(versions.c.number == number))
    _update_model(c, model, updated_at=at, deleted=number is None)


def _found_or_added(c: Connection, name: str, at: datetime) -> tuple[Row[Any], bool]:
    """The model's row, locked, though it may be deleted; and whether it was added. On PostgreSQL a row that was found
    may be renamed until it is locked: then the name is free."""
    while True:
        is_new = _insert_if_missing(c, name, at)
        row = c.execute(select(models).where(models.c.name == name).with_for_update()).one_or_none()
        if row is not None:
            return row, is_new


def _refuse_garbage(c: Connection, source: str) -> None:
    """After the insert, for which PostgreSQL makes it wait while garbage is marked: whoever marks it sees this version
    then, or this sees the mark. Raises PackageNotFound."""
    parts = source.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    if c.execute(select(garbage.c.id).where(garbage.c.place.in_([each for each in above if each])).limit(1)).first():
        raise being_removed(source)


def _insert_if_missing(c: Connection, name: str, at: datetime) -> bool:
    """Adds the row unless it is there; on PostgreSQL this waits for whoever is adding it."""
    values = {"name": name, "created_at": at, "updated_at": at, "last_number": 0, "deleted": False, "tags": "{}"}
    added = insert_or_leave(c, models).values(values).returning(models.c.id)
    return c.execute(added).first() is not None


def _update_model(c: Connection, model: Row[Any], **values: Any) -> None:
    c.execute(update(models).where(models.c.id == model.id).values(**values))


def _update_version(c: Connection, version: Row[Any], **values: Any) -> None:
    this = (versions.c.model_id == version.model_id, versions.c.number == version.number)
    c.execute(update(versions).where(*this).values(**values))


def _tell(
    c: Connection,
    model: Row[Any],
    kind: ChangeKind,
    at: datetime,
    by: str,
    version: str | int | None = None,
    detail: str = "",
) -> None:
    number = None if version is None else int(version)
    line = {"model_id": model.id, "number": number, "kind": kind, "at": at, "by": by, "detail": detail}
    c.execute(insert(model_changes).values(**line))
