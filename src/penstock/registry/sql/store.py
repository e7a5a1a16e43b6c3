"""SqlRegistry: reads, and the transactions of writes.

Every write locks the model's row first, so writes to one model happen one after the other (on SQLite, all writes do).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, tuple_

from penstock.artifacts import PackageCache
from penstock.mlflow_api.search.paging import Page
from penstock.registry.entries import (
    ModelChange,
    ModelKey,
    ModelQuery,
    ModelVersion,
    NewVersion,
    PackageFacts,
    RegisteredModel,
    Stage,
    VersionQuery,
)
from penstock.registry.history import AliasMove, NewMove, aliases_state
from penstock.registry.interface import PRODUCTION, Registry
from penstock.registry.refusals import no_alias, no_model, refuse_registered
from penstock.registry.sql import writing
from penstock.registry.sql.rows import (
    aliases_of,
    aliases_of_each,
    change_of,
    described_models,
    model_row,
    move_of,
    version_row,
)
from penstock.registry.sql.search import find_model_keys, find_version_keys
from penstock.sql.database import Database
from penstock.sql.tables import aliases, model_changes, models, moves, versions

T = TypeVar("T")

# Keys in one statement: SQLite takes 32,766 parameters.
_KEYS = 5000


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
        return self._database.read(described_models)

    def model(self, name: str) -> RegisteredModel:
        found = self._database.read(lambda c: described_models(c, models.c.name == name))
        if not found:
            raise no_model(name)
        return found[0]

    def versions(self, name: str) -> list[ModelVersion]:
        def query(c: Connection) -> list[ModelVersion]:
            model = model_row(c, name)
            named = aliases_of(c, model.id)
            rows = c.execute(select(versions).where(versions.c.model_id == model.id).order_by(versions.c.number))
            return [self._version(name, row, named) for row in rows]

        return self._database.read(query)

    def version(self, name: str, version: str) -> ModelVersion:
        def query(c: Connection) -> ModelVersion:
            model = model_row(c, name)
            return self._version(name, version_row(c, model, version), aliases_of(c, model.id))

        return self._database.read(query)

    def resolve(self, name: str, alias: str = PRODUCTION) -> ModelVersion:
        """As the inherited one, in one transaction: this is what gateways ask every few seconds."""

        def query(c: Connection) -> ModelVersion:
            model = model_row(c, name)
            named = aliases_of(c, model.id)
            if alias not in named:
                raise no_alias(name, alias, named)
            return self._version(name, version_row(c, model, named[alias]), named)

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
            model = model_row(c, name)
            wanted = select(moves).where(moves.c.model_id == model.id).order_by(moves.c.id)
            if alias is not None:
                wanted = wanted.where(moves.c.alias == alias)
            return [move_of(name, row) for row in c.execute(wanted)]

        return self._database.read(query)

    def find_models(self, query: ModelQuery) -> Page[RegisteredModel]:
        def ask(c: Connection) -> Page[RegisteredModel]:
            keys = find_model_keys(c, query)
            names = {row.id: row.name for row in c.execute(select(models).where(models.c.id.in_(keys.items)))}
            found = {model.name: model for model in described_models(c, models.c.id.in_(keys.items))}
            return Page(tuple(found[names[key]] for key in keys), keys.next_token)

        return self._database.read(ask)

    def find_versions(self, query: VersionQuery) -> Page[ModelVersion]:
        def ask(c: Connection) -> Page[ModelVersion]:
            keys = find_version_keys(c, query)
            return Page(tuple(self._versions_by_key(c, keys.items)), keys.next_token)

        return self._database.read(ask)

    def latest_of_stages(self, names: Sequence[str]) -> dict[str, list[ModelVersion]]:
        def ask(c: Connection) -> dict[str, list[ModelVersion]]:
            latest = (
                select(versions.c.model_id, func.max(versions.c.number))
                .join(models, models.c.id == versions.c.model_id)
                .where(~models.c.deleted, models.c.name.in_(names))
                .group_by(versions.c.model_id, versions.c.stage)
            )
            found: dict[str, list[ModelVersion]] = {name: [] for name in names}
            for version in self._versions_by_key(c, sorted((m, n) for m, n in c.execute(latest))):
                found[version.name].append(version)
            return found

        return self._database.read(ask)

    def changes(self, name: str) -> list[ModelChange]:
        def ask(c: Connection) -> list[ModelChange]:
            these = select(model_changes).where(model_changes.c.model_id == model_row(c, name).id)
            return [change_of(name, row) for row in c.execute(these.order_by(model_changes.c.id))]

        return self._database.read(ask)

    def containing(self, path: str, *, within: bool = False) -> ModelVersion | None:
        return self._database.read(lambda c: self._containing(c, path, within))

    def unfinished(self) -> list[tuple[ModelKey, ModelVersion]]:
        pending = versions.c.status == "PENDING_REGISTRATION"
        wanted = select(versions.c.model_id, versions.c.number).join(models, models.c.id == versions.c.model_id)

        def ask(c: Connection) -> list[tuple[ModelKey, ModelVersion]]:
            keys = [(row.model_id, row.number) for row in c.execute(wanted.where(pending, ~models.c.deleted))]
            found = self._versions_by_key(c, keys)
            return [(ModelKey(model_id), version) for (model_id, _), version in zip(keys, found, strict=True)]

        return self._database.read(ask)

    def _containing(self, c: Connection, path: str, within: bool) -> ModelVersion | None:
        parts = path.split("/")
        fits: ColumnElement[bool] = versions.c.source.in_(["/".join(parts[: n + 1]) for n in range(len(parts))])
        if within:
            fits = or_(fits, versions.c.source.startswith(f"{path}/", autoescape=True))
        wanted = select(versions.c.model_id, versions.c.number).join(models, models.c.id == versions.c.model_id)
        key = c.execute(wanted.where(fits, ~models.c.deleted).limit(1)).one_or_none()
        return None if key is None else self._versions_by_key(c, [(key.model_id, key.number)])[0]

    def key_of(self, name: str) -> ModelKey:
        return ModelKey(self._database.read(lambda c: model_row(c, name)).id)

    def aliases_state(self) -> str:
        """As the inherited one, of what it depends on alone: a hub asks it for all gateways that wait."""
        named = select(models.c.name, aliases.c.alias, aliases.c.number).join(models, models.c.id == aliases.c.model_id)
        rows = self._database.read(lambda c: c.execute(named.where(~models.c.deleted)).all())
        return aliases_state((row.name, row.alias, str(row.number)) for row in rows)

    # -- writing -----------------------------------------------------------------------------------------------------

    def migrate(self) -> str:
        return self._database.migrate()

    def close(self) -> None:
        self._database.close()

    def change_files(self, path: str, change: Callable[[], T], *, within: bool = False) -> T:
        def look(c: Connection) -> None:
            refuse_registered(path, self._containing(c, path, within))

        return self._database.guarded(look, change, alone=False)

    def await_changes(self) -> None:
        self._database.guarded(lambda c: None, lambda: None, alone=True)

    def record_package(
        self, model: str | ModelKey, version: str, facts: PackageFacts | None, *, message: str = ""
    ) -> ModelVersion:
        def change(c: Connection) -> ModelVersion:
            row = writing.record_package(c, model, version, facts, message)
            return self._versions_by_key(c, [(row.model_id, row.number)])[0]

        return self._database.write(change)

    def _insert_model(self, name: str, description: str, tags: dict[str, str], *, at: datetime, by: str) -> None:
        self._database.write(lambda c: writing.insert_model(c, name, description, tags, at=at, by=by))

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        def change(c: Connection) -> ModelVersion:
            return self._version(name, writing.insert_version(c, name, new, at=at), {})

        return self._database.write(change)

    def _move_alias(self, move: NewMove) -> AliasMove:
        return self._database.write(lambda c: writing.move_alias(c, move))

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None, *, at: datetime, by: str) -> None:
        self._database.write(lambda c: writing.write_tag(c, name, version, key, value, at=at, by=by))

    def _write_description(self, name: str, version: str | None, description: str, *, at: datetime, by: str) -> None:
        self._database.write(lambda c: writing.write_description(c, name, version, description, at=at, by=by))

    def _write_stage(
        self, name: str, version: str, stage: Stage, *, archive_existing: bool, at: datetime, by: str
    ) -> None:
        self._database.write(
            lambda c: writing.write_stage(c, name, version, stage, archive_existing=archive_existing, at=at, by=by)
        )

    def _rename(self, name: str, new_name: str, *, at: datetime, by: str) -> None:
        self._database.write(lambda c: writing.rename(c, name, new_name, at=at, by=by))

    def _delete(self, name: str, version: str | None, *, with_aliases: bool, at: datetime, by: str) -> None:
        self._database.write(lambda c: writing.delete_entry(c, name, version, with_aliases=with_aliases, at=at, by=by))

    # -- rows as values ------------------------------------------------------------------------------------------------

    def _versions_by_key(self, c: Connection, keys: Sequence[tuple[int, int]]) -> list[ModelVersion]:
        """Those with these keys of models and numbers, in this order."""
        named = aliases_of_each(c, sorted({model_id for model_id, _ in keys}))
        found: dict[tuple[int, int], ModelVersion] = {}
        for start in range(0, len(keys), _KEYS):
            these = tuple_(versions.c.model_id, versions.c.number).in_(keys[start : start + _KEYS])
            rows = select(versions, models.c.name).join(models, models.c.id == versions.c.model_id).where(these)
            for row in c.execute(rows):
                found[row.model_id, row.number] = self._version(row.name, row, named[row.model_id])
        return [found[key] for key in keys]

    def _version(self, name: str, row: Row[Any], named: Mapping[str, str]) -> ModelVersion:
        number = str(row.number)
        return ModelVersion(
            name=name,
            version=number,
            source=self.located(row.source),
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
            origin=row.origin,
            stage=row.stage,
            run_link=row.run_link,
            logged_model=row.logged_model,
            status=row.status,
            status_message=row.status_message,
            updated_at=row.updated_at,
        )
