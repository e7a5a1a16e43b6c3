"""A backup of a store, taken while hubs write to it: the tables as they are at one moment, then the files.

In this order, since a file that no run knows does no harm, and a run without its files does. Nothing names what is
written until the manifest is, so a backup that is cut off is none, and the next one finds its pieces there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from penstock.artifacts.trees import ArtifactTree
from penstock.hub.backup.files import SavedFile, known_files, save_files
from penstock.hub.backup.manifest import (
    BackupManifest,
    SavedFiles,
    SavedTable,
    new_name,
    newest_manifest,
    write_manifest,
)
from penstock.hub.backup.objects import BackupObjects
from penstock.hub.backup.tables import save_table
from penstock.hub.version_sources import below
from penstock.sql.database import Database, revision
from penstock.sql.dialect import run
from penstock.sql.portable import portable_tables

# What is not in a backup that is named one by one.
_NAMED = 100


class BackupTaking:
    """Its steps are called in their order: `tables`, `files` where files are to be saved, `finish`. `root` is where the
    artifacts are, as the registry of the store has it. `verify` is whether all that is used again of earlier backups is
    read."""

    def __init__(self, database: Database, place: ArtifactTree, root: str, *, verify: bool = False) -> None:
        self._database = database
        self._place = place
        self._root = root
        self._objects = BackupObjects(place, verify=verify)
        self._before = newest_manifest(place, str(place))
        self._began = datetime.now(UTC)
        # Mutable state: what the steps have saved, and versions of which no file was seen yet, by their place.
        self._revision = ""
        self._tables: tuple[SavedTable, ...] = ()
        self._files: SavedFiles | None = None
        self._versions: dict[str, str] = {}
        self._warnings: list[str] = []

    @property
    def written(self) -> int:
        """Bytes that were not there before."""
        return self._objects.written

    def tables(self, work: Path, on_rows: Callable[[int], None] = lambda rows: None) -> None:
        """`work` is a directory for what is not needed afterwards."""
        with self._database.snapshot(work) as c:
            self._revision = revision(c) or ""
            tables = portable_tables(c)
            self._tables = tuple(save_table(c, table, self._objects, on_rows) for table in tables)
            self._versions = _versions(c, self._root)

    def files(self, tree: ArtifactTree, on_file: Callable[[int], None] = lambda size: None) -> None:
        before = known_files(self._objects, self._before.files if self._before else None)

        def saved(file: SavedFile) -> None:
            parts = file.path.split("/")
            for n in range(len(parts)):
                self._versions.pop("/".join(parts[: n + 1]), None)
            on_file(file.size)

        self._files = save_files(tree, self._objects, before, saved, self._warn)
        for name in self._versions.values():
            self._warn(f"{name} has no files in the backup: there are none below the artifacts.")

    def finish(self) -> BackupManifest:
        """From now on it is a backup."""
        manifest = BackupManifest(
            name=new_name(self._began),
            created=self._began.isoformat(timespec="milliseconds"),
            place=self._database.place,
            revision=self._revision,
            tables=self._tables,
            files=self._files,
            warnings=tuple(self._warnings),
        )
        write_manifest(self._place, manifest)
        return manifest

    def _warn(self, sentence: str) -> None:
        if len(self._warnings) < _NAMED:
            self._warnings.append(sentence)


def _versions(c: Connection, root: str) -> dict[str, str]:
    """Registered versions whose files are the hub's, by their place."""
    found = {}
    statement = (
        "SELECT m.name, v.number, v.source FROM penstock_versions v JOIN penstock_models m ON m.id = v.model_id "
        "WHERE v.digest IS NOT NULL"
    )
    for name, number, source in run(c, statement):
        place = below(root, source)
        if "://" not in place and not place.startswith("/"):
            found[place] = f"Version {number} of {name}"
    return found
