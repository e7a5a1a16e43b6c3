"""SqlRegistry: the registry in SQL tables, the same statements on SQLite and PostgreSQL.

Every write locks the model's row first, so writes to one model happen one after the other (on SQLite, all writes do).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from penstock.artifacts import PackageCache
from penstock.registry.history import AliasMove, MoveKind
from penstock.registry.interface import (
    PRODUCTION,
    Expected,
    ModelVersion,
    NewVersion,
    RegisteredModel,
    Registry,
    no_alias,
    no_model,
    no_version,
    refuse_if_moved,
    refuse_if_named,
)
from penstock.sql.database import Database
from penstock.sql.tables import aliases, models, moves, versions

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class SqlRegistry(Registry):
    """See `Registry` for what each method does. Holds no state: all of it is in the database."""

    def __init__(
        self,
        database: Database,
        *,
        artifact_root: str,
        cache: PackageCache | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(artifact_root=artifact_root, cache=cache, clock=clock)
        self._database = database

    def __repr__(self) -> str:
        return f"<SqlRegistry {self._database!r}>"

    @property
    def place(self) -> str:
        return self._database.place

    # -- reading -----------------------------------------------------------------------------------------------------

    def models(self) -> list[RegisteredModel]:
        return self._database.read(_models)

    def model(self, name: str) -> RegisteredModel:
        found = self._database.read(lambda c: _models(c, name))
        if not found:
            raise no_model(name)
        return found[0]

    def versions(self, name: str) -> list[ModelVersion]:
        def query(c: Connection) -> list[ModelVersion]:
            model = _model_row(c, name)
            named = _aliases(c, model.id)
            rows = c.execute(select(versions).where(versions.c.model_id == model.id).order_by(versions.c.number))
            return [self._version(name, row, named) for row in rows]

        return self._database.read(query)

    def version(self, name: str, version: str) -> ModelVersion:
        def query(c: Connection) -> ModelVersion:
            model = _model_row(c, name)
            return self._version(name, _version_row(c, model, version), _aliases(c, model.id))

        return self._database.read(query)

    def resolve(self, name: str, alias: str = PRODUCTION) -> ModelVersion:
        """As the inherited one, in one transaction: this is what gateways ask every few seconds."""

        def query(c: Connection) -> ModelVersion:
            model = _model_row(c, name)
            named = _aliases(c, model.id)
            if alias not in named:
                raise no_alias(name, alias, named)
            return self._version(name, _version_row(c, model, named[alias]), named)

        return self._database.read(query)

    def search(self, pattern: str, alias: str = PRODUCTION) -> dict[str, str]:
        beginning = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        wanted = (
            select(models.c.name, aliases.c.number)
            .join(aliases, aliases.c.model_id == models.c.id)
            .where(~models.c.deleted, aliases.c.alias == alias)
            .where(models.c.name.startswith(beginning, autoescape=True))
        )
        rows = self._database.read(lambda c: c.execute(wanted).all())
        return {row.name: str(row.number) for row in rows if fnmatchcase(row.name, pattern)}

    def history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        def query(c: Connection) -> list[AliasMove]:
            model = _model_row(c, name)
            wanted = select(moves).where(moves.c.model_id == model.id).order_by(moves.c.id)
            if alias is not None:
                wanted = wanted.where(moves.c.alias == alias)
            return [_move(name, row) for row in c.execute(wanted)]

        return self._database.read(query)

    # -- writing -----------------------------------------------------------------------------------------------------

    def migrate(self) -> str:
        return self._database.migrate()

    def close(self) -> None:
        self._database.close()

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        def change(c: Connection) -> ModelVersion:
            _insert_model(c, name, at)
            model = c.execute(select(models).where(models.c.name == name).with_for_update()).one()
            revived = {"deleted": False, "created_at": at, "tags": "{}"} if model.deleted else {}
            number = model.last_number + 1
            c.execute(update(models).where(models.c.id == model.id).values(last_number=number, **revived))
            c.execute(insert(versions).values(model_id=model.id, number=number, created_at=at, **_columns(new)))
            return self._version(name, _version_row(c, model, str(number)), {})

        return self._database.write(change)

    def _move_alias(
        self,
        name: str,
        alias: str,
        kind: MoveKind,
        to: str | None,
        *,
        expected: Expected,
        at: datetime,
        by: str,
        reason: str,
    ) -> AliasMove:
        def change(c: Connection) -> AliasMove:
            model = _model_row(c, name, lock=True)
            target = None if to is None else _version_row(c, model, to).number
            named = _aliases(c, model.id)
            if target is None and alias not in named:
                raise no_alias(name, alias, named)
            refuse_if_moved(name, alias, named.get(alias), expected)
            this = (aliases.c.model_id == model.id) & (aliases.c.alias == alias)
            c.execute(delete(aliases).where(this))
            if target is not None:
                c.execute(insert(aliases).values(model_id=model.id, alias=alias, number=target))
            move = AliasMove(name, alias, kind, named.get(alias), to, at, by, reason)
            line = {"kind": kind, "from_number": named.get(alias), "to_number": target, "by": by, "reason": reason}
            c.execute(insert(moves).values(model_id=model.id, alias=alias, at=at, **line))
            return move

        return self._database.write(change)

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None) -> None:
        def change(c: Connection) -> None:
            model = _model_row(c, name, lock=True)
            if version is None:
                this, row = update(models).where(models.c.id == model.id), model
            else:
                row = _version_row(c, model, version)
                this = update(versions).where(versions.c.model_id == model.id, versions.c.number == row.number)
            tags = orjson.loads(row.tags)
            tags.pop(key, None)
            if value is not None:
                tags[key] = value
            c.execute(this.values(tags=_json(tags)))

        self._database.write(change)

    def _delete(self, name: str, version: str | None) -> None:
        def change(c: Connection) -> None:
            model = _model_row(c, name, lock=True)
            refuse_if_named(name, version, _aliases(c, model.id))
            gone = delete(versions).where(versions.c.model_id == model.id)
            if version is None:
                c.execute(gone)
                c.execute(update(models).where(models.c.id == model.id).values(deleted=True))
            else:
                c.execute(gone.where(versions.c.number == _version_row(c, model, version).number))

        self._database.write(change)

    def _version(self, name: str, row: Row[Any], named: Mapping[str, str]) -> ModelVersion:
        number = str(row.number)
        return ModelVersion(
            name=name,
            version=number,
            source=self._located(row.source),
            created_at=row.created_at,
            digest=row.digest,
            signature=None if row.signature is None else orjson.loads(row.signature),
            flavors=tuple(orjson.loads(row.flavors)),
            size_bytes=row.size_bytes,
            description=row.description,
            run_id=row.run_id,
            registered_by=row.registered_by or "",
            tags=orjson.loads(row.tags),
            aliases=tuple(sorted(alias for alias, v in named.items() if v == number)),
        )


def _models(c: Connection, name: str | None = None) -> list[RegisteredModel]:
    living = [~models.c.deleted] if name is None else [~models.c.deleted, models.c.name == name]
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
        )
        for row in c.execute(counts)
    ]
    # Sorted here: a database sorts text by its own collation.
    return sorted(found, key=lambda model: model.name)


def _model_row(c: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    query = select(models).where(models.c.name == name, ~models.c.deleted)
    row = c.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise no_model(name)
    return row


def _version_row(c: Connection, model: Row[Any], version: str) -> Row[Any]:
    row = None
    if _NUMBER.fullmatch(version):
        this = select(versions).where(versions.c.model_id == model.id, versions.c.number == int(version))
        row = c.execute(this).one_or_none()
    if row is None:
        raise no_version(model.name, version)
    return row


def _aliases(c: Connection, model_id: int) -> dict[str, str]:
    rows = c.execute(select(aliases).where(aliases.c.model_id == model_id).order_by(aliases.c.alias))
    return {row.alias: str(row.number) for row in rows}


def _insert_model(c: Connection, name: str, at: datetime) -> None:
    """Adds the row unless it is there; on PostgreSQL this waits for whoever is adding it."""
    values = {"name": name, "created_at": at, "last_number": 0, "deleted": False, "tags": "{}"}
    if c.dialect.name == "postgresql":
        c.execute(postgresql.insert(models).values(values).on_conflict_do_nothing())
    else:
        c.execute(sqlite.insert(models).values(values).on_conflict_do_nothing())


def _columns(new: NewVersion) -> dict[str, Any]:
    return {
        "source": new.source,
        "digest": new.digest,
        "signature": None if new.signature is None else _json(new.signature),
        "flavors": _json(new.flavors),
        "size_bytes": new.size_bytes,
        "description": new.description,
        "run_id": new.run_id,
        "registered_by": new.registered_by,
        "tags": _json(new.tags),
    }


def _move(name: str, row: Row[Any]) -> AliasMove:
    def text(number: int | None) -> str | None:
        return None if number is None else str(number)

    return AliasMove(
        name, row.alias, row.kind, text(row.from_number), text(row.to_number), row.at, by=row.by, reason=row.reason
    )


def _json(value: Mapping[str, Any] | Sequence[str]) -> str:
    return orjson.dumps(dict(value) if isinstance(value, Mapping) else list(value)).decode()
