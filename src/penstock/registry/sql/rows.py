"""Rows of the registry's tables: found by name and number, and what they say as values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, select

from penstock.registry.entries import ModelChange, ModelKey, NewVersion, RegisteredModel
from penstock.registry.history import AliasMove
from penstock.registry.refusals import no_keyed_model, no_model, no_version
from penstock.sql.tables import aliases, models, versions

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def described_models(c: Connection, *conditions: Any) -> list[RegisteredModel]:
    """Those that are not deleted and meet the conditions on their row, by name."""
    living = [~models.c.deleted, *conditions]
    counts = (
        select(models, func.count(versions.c.number).label("versions"), func.max(versions.c.number).label("latest"))
        .outerjoin(versions, versions.c.model_id == models.c.id)
        .where(*living)
        .group_by(models.c.id)
    )
    named: dict[int, dict[str, str]] = {}
    pointing = select(aliases).join(models, models.c.id == aliases.c.model_id).where(*living).order_by(aliases.c.alias)
    for row in c.execute(pointing):
        named.setdefault(row.model_id, {})[row.alias] = str(row.number)
    found = [
        RegisteredModel(
            name=row.name,
            created_at=row.created_at,
            latest=None if row.latest is None else str(row.latest),
            versions=row.versions,
            aliases=named.get(row.id, {}),
            tags=orjson.loads(row.tags),
            description=row.description,
            updated_at=row.updated_at,
        )
        for row in c.execute(counts)
    ]
    # Sorted here: a database sorts text by its own collation.
    return sorted(found, key=lambda model: model.name)


def model_row(c: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    """Raises ModelNotFound."""
    query = select(models).where(models.c.name == name, ~models.c.deleted)
    row = c.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise no_model(name)
    return row


def keyed_model_row(c: Connection, key: ModelKey) -> Row[Any]:
    """The same, locked, whatever its name is by now. Raises ModelNotFound."""
    row = c.execute(select(models).where(models.c.id == key, ~models.c.deleted).with_for_update()).one_or_none()
    if row is None:
        raise no_keyed_model()
    return row


def version_row(c: Connection, model: Row[Any], version: str) -> Row[Any]:
    """Raises VersionNotFound."""
    row = None
    if _NUMBER.fullmatch(version):
        this = select(versions).where(versions.c.model_id == model.id, versions.c.number == int(version))
        row = c.execute(this).one_or_none()
    if row is None:
        raise no_version(model.name, version)
    return row


def aliases_of(c: Connection, model_id: int) -> dict[str, str]:
    rows = c.execute(select(aliases).where(aliases.c.model_id == model_id).order_by(aliases.c.alias))
    return {row.alias: str(row.number) for row in rows}


def aliases_of_each(c: Connection, model_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """The same for several models."""
    named: dict[int, dict[str, str]] = {model_id: {} for model_id in model_ids}
    for row in c.execute(select(aliases).where(aliases.c.model_id.in_(model_ids)).order_by(aliases.c.alias)):
        named[row.model_id][row.alias] = str(row.number)
    return named


def version_columns(new: NewVersion) -> dict[str, Any]:
    """What a new version's row holds, but for its key and times."""
    return {
        "source": new.source,
        "digest": new.digest,
        "signature": None if new.signature is None else json_text(new.signature),
        "flavors": json_text(new.flavors),
        "size_bytes": new.size_bytes,
        "description": new.description,
        "run_id": new.run_id,
        "registered_by": new.registered_by,
        "tags": json_text(new.tags),
        "origin": new.origin,
        "run_link": new.run_link,
        "logged_model": new.logged_model,
        "status": new.status,
        "status_message": new.status_message,
    }


def move_of(name: str, row: Row[Any]) -> AliasMove:
    start, end = number_text(row.from_number), number_text(row.to_number)
    return AliasMove(name, row.alias, row.kind, start, end, row.at, by=row.by, reason=row.reason)


def change_of(name: str, row: Row[Any]) -> ModelChange:
    return ModelChange(name, row.kind, row.at, row.by, number_text(row.number), row.detail)


def number_text(number: int | None) -> str | None:
    return None if number is None else str(number)


def json_text(value: Mapping[str, Any] | Sequence[str]) -> str:
    return orjson.dumps(dict(value) if isinstance(value, Mapping) else list(value)).decode()
