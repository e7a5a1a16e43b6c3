"""MemoryRegistry: the registry in this process's memory, for tests and for trying things out."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from penstock.artifacts import PackageCache
from penstock.errors import RegistryReadOnly
from penstock.registry.history import AliasMove, MoveKind
from penstock.registry.interface import (
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


@dataclass
class _Model:
    created_at: datetime
    last_number: int = 0
    deleted: bool = False
    versions: dict[str, ModelVersion] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    moves: list[AliasMove] = field(default_factory=list)


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

    # -- writing -----------------------------------------------------------------------------------------------------

    def migrate(self) -> str:
        return "A registry in memory needs no migration."

    def _insert_version(self, name: str, new: NewVersion, *, at: datetime) -> ModelVersion:
        with self._writing():
            model = self._models.setdefault(name, _Model(at))
            if model.deleted:
                model.deleted, model.created_at, model.tags = False, at, {}
            model.last_number += 1
            version = ModelVersion(
                name=name,
                version=str(model.last_number),
                source=self._located(new.source),
                created_at=at,
                digest=new.digest,
                signature=None if new.signature is None else dict(new.signature),
                flavors=tuple(new.flavors),
                size_bytes=new.size_bytes,
                description=new.description,
                run_id=new.run_id,
                registered_by=new.registered_by,
                tags=dict(new.tags),
            )
            model.versions[version.version] = version
            return version

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
        with self._writing():
            model = self._found(name, to)
            before = model.aliases.get(alias)
            if to is None and before is None:
                raise no_alias(name, alias, model.aliases)
            refuse_if_moved(name, alias, before, expected)
            model.aliases.pop(alias, None)
            if to is not None:
                model.aliases[alias] = to
            move = AliasMove(name, alias, kind, before, to, at, by, reason)
            model.moves.append(move)
            return move

    def _write_tag(self, name: str, version: str | None, key: str, value: str | None) -> None:
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

    def _delete(self, name: str, version: str | None) -> None:
        with self._writing():
            model = self._found(name, version)
            refuse_if_named(name, version, model.aliases)
            if version is None:
                model.versions.clear()
                model.deleted = True
            else:
                del model.versions[version]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._read_only:
            raise RegistryReadOnly("This registry in memory was opened for reading only.")
        with self._lock:
            yield

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
    )


def _with_aliases(version: ModelVersion, model: _Model) -> ModelVersion:
    names = sorted(alias for alias, v in model.aliases.items() if v == version.version)
    return replace(version, aliases=tuple(names), tags=dict(version.tags))
