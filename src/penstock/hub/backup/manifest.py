"""What a backup is: a file of JSON that names its tables and files, written last."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import BackupBroken, BackupNotFound
from penstock.hub.backup.objects import write_all
from penstock.sql.portable import CellKind, PortableTable
from penstock.version import __version__

FORMAT = 1
_FOLDER = "backups"
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class SavedTable:
    """`digest` is that of `TableSum`; `parts` are objects with lines of rows, packed."""

    name: str
    columns: tuple[tuple[str, CellKind], ...]
    key: tuple[str, ...]
    rows: int
    digest: str
    parts: tuple[str, ...]

    @property
    def table(self) -> PortableTable:
        return PortableTable(self.name, self.columns, self.key)


@dataclass(frozen=True, slots=True)
class SavedFiles:
    """How many files there are, their bytes, and the objects with the list of them."""

    files: int
    bytes: int
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """`revision` is that of the tables. `files` is None where none were to be saved."""

    name: str
    created: str
    place: str
    revision: str
    tables: tuple[SavedTable, ...]
    files: SavedFiles | None
    warnings: tuple[str, ...] = ()
    penstock: str = __version__
    format: int = field(default=FORMAT)

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


def new_name(now: datetime) -> str:
    """Sorted by time. Two that begin in one second are told apart."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:6]}"


def write_manifest(tree: ArtifactTree, manifest: BackupManifest) -> None:
    content = asdict(manifest)
    content["sha256"] = _digest(content)
    with tree.new(_path(manifest.name)) as file:
        write_all(file, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def names_of(tree: ArtifactTree) -> list[str]:
    """The backups that are there, the oldest first."""
    entries = tree.entries(_FOLDER)
    return [each.name.removesuffix(_SUFFIX) for each in entries if each.name.endswith(_SUFFIX)]


def read_manifest(tree: ArtifactTree, place: str, name: str = "") -> BackupManifest:
    """The newest one, or that of a name. Raises BackupNotFound, BackupBroken."""
    names = names_of(tree)
    if not names:
        raise BackupNotFound(f"There is no backup at {place}.", hint="A backup that was cut off is none.")
    if name and name not in names:
        raise BackupNotFound(f"There is no backup {name!r} at {place}.", hint=f"There are: {', '.join(names)}.")
    with tree.open(_path(name or names[-1])).file as file:
        return _parsed(b"".join(iter(lambda: file.read(1024 * 1024), b"")), name or names[-1])


def newest_manifest(tree: ArtifactTree, place: str) -> BackupManifest | None:
    """What the next backup compares with; None where there is nothing good to compare with."""
    try:
        return read_manifest(tree, place)
    except (BackupNotFound, BackupBroken):
        return None


def _parsed(text: bytes, name: str) -> BackupManifest:
    try:
        content = orjson.loads(text)
        digest = content.pop("sha256")
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        raise _broken(name, "its manifest cannot be read") from None
    if content.get("format") != FORMAT:
        raise BackupBroken(
            f"The backup {name} is of format {content.get('format')}, and this release knows {FORMAT}.",
            hint="Restore it with the release that made it, or a later one.",
        )
    if digest != _digest(content):
        raise _broken(name, "its manifest has changed")
    try:
        content["tables"] = tuple(_table(each) for each in content["tables"])
        if content["files"] is not None:
            content["files"] = SavedFiles(**{**content["files"], "parts": tuple(content["files"]["parts"])})
        content["warnings"] = tuple(content["warnings"])
        return BackupManifest(**content)
    except (KeyError, TypeError, ValueError):
        raise _broken(name, "its manifest is none") from None


def _table(content: dict[str, Any]) -> SavedTable:
    columns = tuple((name, cast("CellKind", kind)) for name, kind in content["columns"])
    return SavedTable(**{**content, "columns": columns, "key": tuple(content["key"]), "parts": tuple(content["parts"])})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _broken(name: str, why: str) -> BackupBroken:
    return BackupBroken(f"The backup {name} is damaged: {why}.", hint="Restore another backup.")


def _path(name: str) -> str:
    return f"{_FOLDER}/{name}{_SUFFIX}"
