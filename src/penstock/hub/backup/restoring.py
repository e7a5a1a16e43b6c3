"""A backup into an empty store: the files first, then all tables in one transaction, which is checked before it ends.

So the store is empty until everything is there. One that was cut off is started again, and goes on with the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, MetaData, Table, inspect

from penstock.artifacts.trees import ArtifactTree
from penstock.artifacts.walking import files_below, several_at_once
from penstock.errors import ArtifactNotFound, BackupBroken, RegistryOutdated, StoreNotEmpty
from penstock.hub.backup.files import SavedFile, listed_files, sha256_of
from penstock.hub.backup.manifest import BackupManifest, SavedTable
from penstock.hub.backup.objects import BackupObjects, write_all
from penstock.hub.backup.tables import load_table
from penstock.sql.database import Database, revision
from penstock.sql.dialect import run
from penstock.sql.migrations import upgrade
from penstock.sql.portable import TableSum, count_rows, portable_tables, set_sequences
from penstock.sql.tables import HEAD, REVISION_TABLE
from penstock.tracking.experiments import DEFAULT_EXPERIMENT_ID

# What a store has before anything was done with it: a row each, and the experiment that is always there.
_OF_NEW_STORE = {"penstock_changes", "penstock_experiments"}


class Restoring:
    """Its steps are called in their order: `check`, `files` where files are wanted, `tables`."""

    def __init__(self, database: Database, place: ArtifactTree, manifest: BackupManifest) -> None:
        self._database = database
        self._manifest = manifest
        self._objects = BackupObjects(place)

    def check(self, tree: ArtifactTree | None) -> None:
        """Looks whether the store is empty, and whether below its artifacts is nothing but files of this backup. Raises
        StoreNotEmpty, RegistryOutdated."""
        if self._manifest.revision > HEAD:
            raise RegistryOutdated(
                f"The backup {self._manifest.name} is of a newer Penstock (revision {self._manifest.revision}; this "
                f"release knows {HEAD}).",
                hint="Upgrade Penstock on this machine.",
            )
        self._database.fill(self._require_empty)
        if tree is not None:  # which reads the whole list, before anything is written
            ours = {file.path.partition("/")[0] for file in self._listed()}
            for entry in tree.entries(""):
                if entry.name not in ours:
                    raise StoreNotEmpty(
                        f"There is {entry.name!r} below the artifacts, which is not of this backup.",
                        hint="Restore into an empty place.",
                    )

    def files(self, tree: ArtifactTree, on_bytes: Callable[[int], None] = lambda size: None) -> None:
        """Raises BackupBroken, and StoreNotEmpty where another file has the name of one."""

        def restore(file: SavedFile) -> int:
            if not _is_there(tree, file):
                with tree.new(file.path) as target:
                    for piece in self._objects.pieces(file.sha256):
                        write_all(target, piece)
            return file.size

        with several_at_once(restore, self._listed()) as restored:
            for size in restored:
                on_bytes(size)
        self._check_files(tree)

    def tables(self, on_rows: Callable[[int], None] = lambda rows: None) -> None:
        """Each row is counted twice: when it is put in, and when it is read again. Raises BackupBroken,
        StoreNotEmpty."""
        self._database.fill(lambda c: self._load(c, on_rows))

    def _listed(self) -> Iterator[SavedFile]:
        return listed_files(self._objects, self._manifest.files)

    def _check_files(self, tree: ArtifactTree) -> None:
        listed = self._listed()
        expected = next(listed, None)
        for found in files_below(tree):
            if expected is not None and (found.path, found.size) == (expected.path, expected.size):
                expected = next(listed, None)
        if expected is not None:
            raise BackupBroken(f"The file {expected.path} was restored and is not there.", hint="Restore it again.")

    def _load(self, c: Connection, on_rows: Callable[[int], None]) -> None:
        self._require_empty(c)
        before = _counter(c)
        _make_tables(c, self._manifest.revision)
        saved = {table.name: table for table in self._manifest.tables}
        tables = [table for table in portable_tables(c) if table.name in saved]
        if missing := saved.keys() - {table.name for table in tables}:
            raise BackupBroken(f"The backup has tables that its revision does not know: {', '.join(sorted(missing))}.")
        for table in tables:
            known = {name for name, _ in table.columns}
            if not known.issuperset([*dict(saved[table.name].columns), *saved[table.name].key]):
                raise BackupBroken(f"The backup has columns of {table.name} that its revision does not know.")
            load_table(c, saved[table.name], self._objects, on_rows)
        for table in tables:
            _compare(saved[table.name], count_rows(c, saved[table.name].table, on_rows))
        set_sequences(c, tables)
        upgrade(c)
        # Hubs that look at the store see by the counter that something changed.
        run(c, "UPDATE penstock_changes SET counter = counter + ? WHERE id = 1", max(1, before + 1))

    def _require_empty(self, c: Connection) -> None:
        for table in portable_tables(c):
            if table.name == "penstock_experiments":
                statement = f"SELECT count(*) FROM {table.name} WHERE id <> ?"
                rows = run(c, statement, int(DEFAULT_EXPERIMENT_ID)).scalar()
            else:
                rows = run(c, f"SELECT count(*) FROM {table.name}").scalar()
            if rows and table.name != "penstock_changes":
                raise StoreNotEmpty(
                    f"The store at {self._database.place} is not empty: {table.name} has {rows} rows.",
                    hint="Restore into a new directory or database, and then start the hub on that.",
                )


def _is_there(tree: ArtifactTree, file: SavedFile) -> bool:
    """Raises StoreNotEmpty for another file of that name."""
    try:
        opened = tree.open(file.path)
    except ArtifactNotFound:
        return False
    with opened.file as found:
        if opened.size != file.size or sha256_of(found) != file.sha256:
            raise StoreNotEmpty(
                f"The file {file.path} below the artifacts is another one than that of the backup.",
                hint="Restore into an empty place.",
            )
    return True


def _make_tables(c: Connection, wanted: str) -> None:
    """Empty tables of a revision. Those that are there already keep what was granted to others."""
    tables = portable_tables(c)
    has_revision = inspect(c).has_table(REVISION_TABLE)
    if has_revision and revision(c) == wanted:
        for name in _OF_NEW_STORE:
            run(c, f"DELETE FROM {name}")
        return
    for table in reversed(tables):
        Table(table.name, MetaData()).drop(c)
    if has_revision:
        Table(REVISION_TABLE, MetaData()).drop(c)
    upgrade(c, wanted)
    for name in _OF_NEW_STORE & {table.name for table in portable_tables(c)}:
        run(c, f"DELETE FROM {name}")


def _counter(c: Connection) -> int:
    if not inspect(c).has_table("penstock_changes"):
        return 0
    return int(run(c, "SELECT counter FROM penstock_changes WHERE id = 1").scalar() or 0)


def _compare(saved: SavedTable, found: TableSum) -> None:
    if (found.rows, found.digest) != (saved.rows, saved.digest):
        raise BackupBroken(
            f"Of {saved.name} {found.rows} rows were restored that are not the {saved.rows} of the backup.",
            hint="Nothing was kept. Restore another backup.",
        )
