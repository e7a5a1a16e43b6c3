"""MemoryRegistry: the registry in this process's memory, for tests and for trying things out."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from itertools import count

from penstock.artifacts import PackageCache
from penstock.errors import RegistryReadOnly
from penstock.mlflow_api.search.paging import Page
from penstock.registry import searching
from penstock.registry.entries import (
    ChangeKind,
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
from penstock.registry.history import AliasMove, NewMove
from penstock.registry.interface import Registry
from penstock.registry.refusals import (
    model_exists,
    no_alias,
    no_keyed_model,
    no_model,
    no_version,
    refuse_if_moved,
    refuse_if_named,
)


@dataclass
class _Model:
    key: ModelKey
    created_at: datetime
    updated_at: datetime
    description: str = ""
    last_number: int = 0
    deleted: bool = False
    versions: dict[str, ModelVersion] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    moves: list[AliasMove] = field(default_factory=list)
    changes: list[ModelChange] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)  # of versions, as they were registered


class MemoryRegistry(Registry):
    """See `Registry` for what each method does. Gone when the process is."""

    def __init__(
        self,
        *,
        artifact_root: str = "",
        read_only: bool = False,
        cache: PackageCache | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(artifact_root=artifact_root, cache=cache, clock=clock)
        self._read_only = read_only
        # All mutable state, read and changed under the lock alone. A deleted model stays, for its numbers and history.
        self._lock = threading.Lock()
        self._models: dict[str, _Model] = {}
        self._keys = count(1)

    def __repr__(self) -> str:
        return f"<MemoryRegistry {len(self.models())} models>"

    # -- reading -----------------------------------------------------------------------------------------------------

    def models(self) -> list[RegisteredModel]:
        with self._lock:
            return [
                _described(name, self._models[name]) for name in sorted(self._models) if not self._models[name].deleted
            ]

    def model(self, name: str) -> RegisteredModel:
        with self._lock:
            return _described(name, self._found(name))

    def versions(self, name: str) -> list[ModelVersion]:
        with self._lock:
            model = self._found(name)
            return [_with_aliases(version, model) for version in model.versions.values()]

    def version(self, name: str, version: str) -> ModelVersion:
        with self._lock:
            model = self._found(name, version)
            return _with_aliases(model.versions[version], model)

    def history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        with self._lock:
            return [move for move in self._found(name).moves if alias in (None, move.alias)]

    def find_models(self, query: ModelQuery) -> Page[RegisteredModel]:
        return searching.find_models(self.models(), query)

    def find_versions(self, query: VersionQuery) -> Page[ModelVersion]:
        with self._lock:
            seen = [
                _with_aliases(version, model)
                for model in self._models.values()
                if not model.deleted
                for version in model.versions.values()
            ]
        return searching.find_versions(seen, query)

    def latest_of_stages(self, names: Sequence[str]) -> dict[str, list[ModelVersion]]:
        with self._lock:
            found = {}
            for name in names:
                model = self._found(name)
                latest = {version.stage: version for version in model.versions.values()}
                found[name] = sorted(
                    (_with_aliases(each, model) for each in latest.values()), key=lambda version: int(version.version)
                )
            return found

    def changes(self, name: str) -> list[ModelChange]:
        with self._lock:
            return [replace(change, name=name) for change in self._found(name).changes]

    def containing(self, path: str, *, within: bool = False) -> ModelVersion | None:
        with self._lock:
            for model in self._models.values():
                for number, source in model.sources.items():
                    if f"{path}/".startswith(f"{source}/") or (within and source.startswith(f"{path}/")):
                        return model.versions[number]
        return None

    def key_of(self, name: str) -> ModelKey:
        with self._lock:
            return self._found(name).key

    # -- writing -----------------------------------------------------------------------------------------------------

    def migrate(self) -> str:
        return "A registry in memory needs no migration."

    def _insert_model(self, name: str, description: str, tags: dict[str, str], *, at: datetime, by: str) -> None:
        with self._writing():
            if name in self._models and not self._models[name].deleted:
                raise model_exists(name)
            model = self._model_for(name, at)
            model.description, model.tags = description, tags
            _tell(model, name, "create", at, by)

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        with self._writing():
            if new.of_model is not None and self._found(name).key != new.of_model:
                raise no_model(name)
            model = self._model_for(name, at)
            model.last_number += 1
            model.updated_at = at
            version = ModelVersion(
                name=name,
                version=str(model.last_number),
                source=self.located(new.source),
                created_at=at,
                digest=new.digest,
                signature=None if new.signature is None else dict(new.signature),
                flavors=tuple(new.flavors),
                size_bytes=new.size_bytes,
                description=new.description,
                run_id=new.run_id,
                registered_by=new.registered_by,
                tags=dict(new.tags),
                origin=new.origin,
                run_link=new.run_link,
                logged_model=new.logged_model,
                status=new.status,
                status_message=new.status_message,
                updated_at=at,
            )
            model.versions[version.version] = version
            model.sources[version.version] = new.source
            _tell(model, name, "register", at, new.registered_by, version.version)
            return version

    def record_package(
        self, model: str | ModelKey, version: str, facts: PackageFacts | None, *, message: str = ""
    ) -> ModelVersion:
        with self._writing():
            named = model if isinstance(model, str) else self._name_of(model)
            found = self._found(named, version)
            said = {} if facts is None else {each.name: getattr(facts, each.name) for each in fields(facts)}
            ready = replace(found.versions[version], status="READY", status_message=message, **said)
            found.versions[version] = ready
            return _with_aliases(ready, found)

    def unfinished(self) -> list[tuple[ModelKey, ModelVersion]]:
        with self._lock:
            return [
                (model.key, _with_aliases(version, model))
                for model in self._models.values()
                for version in model.versions.values()
                if version.status == "PENDING_REGISTRATION"
            ]

    def _write_description(self, name: str, version: str | None, description: str, *, at: datetime, by: str) -> None:
        with self._writing():
            model = self._found(name, version)
            if version is None:
                model.description, model.updated_at = description, at
            else:
                model.versions[version] = replace(model.versions[version], description=description, updated_at=at)
            _tell(model, name, "describe", at, by, version)

    def _write_stage(
        self, name: str, version: str, stage: Stage, *, archive_existing: bool, at: datetime, by: str
    ) -> None:
        with self._writing():
            model = self._found(name, version)
            archived = [each for each in model.versions.values() if archive_existing and each.stage == stage]
            for each in archived:
                if each.version != version:
                    model.versions[each.version] = replace(each, stage="Archived", updated_at=at)
                    _tell(model, name, "stage", at, by, each.version, "Archived")
            model.versions[version] = replace(model.versions[version], stage=stage, updated_at=at)
            model.updated_at = at
            _tell(model, name, "stage", at, by, version, stage)

    def _rename(self, name: str, new_name: str, *, at: datetime, by: str) -> None:
        with self._writing():
            model = self._found(name)
            before = self._models.get(new_name)
            if before is not None and not before.deleted:
                raise model_exists(new_name)
            if before is not None:
                model.last_number = max(model.last_number, before.last_number)
            self._models[new_name] = self._models.pop(name)
            model.updated_at = at
            model.versions = {
                number: replace(version, name=new_name, updated_at=at) for number, version in model.versions.items()
            }
            model.moves = [replace(move, name=new_name) for move in model.moves]
            _tell(model, new_name, "rename", at, by, None, f"from {name}")

    def _move_alias(self, move: NewMove) -> AliasMove:
        with self._writing():
            model = self._found(move.name, move.to)
            before = model.aliases.get(move.alias)
            if move.to is None and before is None:
                raise no_alias(move.name, move.alias, model.aliases)
            refuse_if_moved(move.name, move.alias, before, move.expected)
            if before == move.to:
                return move.made(before)
            model.aliases.pop(move.alias, None)
            if move.to is not None:
                model.aliases[move.alias] = move.to
            model.moves.append(move.made(before))
            return model.moves[-1]

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None, *, at: datetime, by: str) -> None:
        with self._writing():
            model = self._found(name, version)
            tags = dict(model.tags if version is None else model.versions[version].tags)
            tags.pop(key, None)
            if value is not None:
                tags[key] = value
            if version is None:
                model.tags = tags
            else:
                model.versions[version] = replace(model.versions[version], tags=tags)
            _tell(model, name, "untag" if value is None else "tag", at, by, version, key)

    def _delete(self, name: str, version: str | None, *, with_aliases: bool, at: datetime, by: str) -> None:
        with self._writing():
            model = self._found(name, version)
            if not with_aliases:
                refuse_if_named(name, version, model.aliases)
            for alias, number in sorted(model.aliases.items()):
                if version in (None, number):
                    del model.aliases[alias]
                    move = AliasMove(name, alias, "remove", number, None, at, by, f"Version {number} was deleted.")
                    model.moves.append(move)
            model.updated_at = at
            _tell(model, name, "delete", at, by, version)
            if version is None:
                model.versions.clear()
                model.sources.clear()
                model.deleted = True
            else:
                del model.versions[version]
                del model.sources[version]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._read_only:
            raise RegistryReadOnly("This registry in memory was opened for reading only.")
        with self._lock:
            yield

    def _model_for(self, name: str, at: datetime) -> _Model:
        """The model, made or revived where there is none."""
        if name not in self._models:
            self._models[name] = _Model(ModelKey(next(self._keys)), at, at)
        model = self._models[name]
        if model.deleted:
            model.deleted, model.created_at, model.updated_at, model.tags, model.description = False, at, at, {}, ""
        return model

    def _name_of(self, key: ModelKey) -> str:
        for name, model in self._models.items():
            if model.key == key:
                return name
        raise no_keyed_model()

    def _found(self, name: str, version: str | None = None) -> _Model:
        """The model, which also has `version` unless that is None."""
        model = self._models.get(name)
        if model is None or model.deleted:
            raise no_model(name)
        if version is not None and version not in model.versions:
            raise no_version(name, version)
        return model


def open_memory(url: str, artifacts: str | None, read_only: bool, cache: PackageCache) -> Registry:
    """A new, empty registry for each call. Its packages go to a temporary directory that lives as long as it does."""
    if artifacts is not None:
        return MemoryRegistry(artifact_root=artifacts, read_only=read_only, cache=cache)
    directory = tempfile.mkdtemp(prefix="penstock-registry-")
    registry = MemoryRegistry(artifact_root=directory, read_only=read_only, cache=cache)
    weakref.finalize(registry, shutil.rmtree, directory, ignore_errors=True)
    return registry


def _described(name: str, model: _Model) -> RegisteredModel:
    return RegisteredModel(
        name=name,
        created_at=model.created_at,
        latest=next(reversed(model.versions), None),  # insertion order is the order of the numbers
        versions=len(model.versions),
        aliases=dict(sorted(model.aliases.items())),
        tags=dict(model.tags),
        description=model.description,
        updated_at=model.updated_at,
    )


def _with_aliases(version: ModelVersion, model: _Model) -> ModelVersion:
    names = sorted(alias for alias, v in model.aliases.items() if v == version.version)
    return replace(version, aliases=tuple(names), tags=dict(version.tags))


def _tell(
    model: _Model, name: str, kind: ChangeKind, at: datetime, by: str, version: str | None = None, detail: str = ""
) -> None:
    model.changes.append(ModelChange(name, kind, at, by, version, detail))
