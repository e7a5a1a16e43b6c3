"""A store that was saved and restored answers as before, whichever database it was in and comes to."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from hub.backup.conftest import answers
from penstock.artifacts.trees import LocalTree
from penstock.assembly.upkeep import backup_at, restore_backup, take_backup
from penstock.errors import BackupBroken, BackupNotFound, ConfigError, PenstockError, RegistryOutdated, StoreNotEmpty
from penstock.hub.backup.manifest import BackupManifest
from penstock.registry import NewVersion, open_registry
from penstock.sql.dialect import run
from penstock.sql.migrations import alembic_config
from penstock.sql.portable import insert_lines, portable_tables
from penstock.tracking.opening import open_database
from penstock.tracking.sql.store import SqlTrackingStore
from penstock.tracking.writes import CreateExperiment, CreateRun


def nothing(_: int) -> None:
    """Progress that nobody looks at."""


def saved(store: str, files: Path | None, place: Path) -> BackupManifest:
    return take_backup(store, None if files is None else str(files), str(place), nothing, nothing)[0]


def restored(store: str, files: Path | None, place: Path, name: str = "") -> None:
    manifest = backup_at(str(place), name)
    restore_backup(store, None if files is None else str(files), str(place), manifest, nothing, nothing)


def contents(store: Path | str, files: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """All rows, as digests of tables but for that which counts changes, and all files."""
    with tempfile.TemporaryDirectory() as place:
        tables = {t.name: t.digest for t in saved(str(store), None, Path(place)).tables if t.name != "penstock_changes"}
    kept = {str(path.relative_to(files)): path for path in files.rglob("*") if path.is_file()}
    return tables, {name: path.read_bytes() for name, path in kept.items()}


async def test_sqlite_to_postgresql_and_back_answers_the_same(filled: Path, empty_url: str) -> None:
    before = await answers(str(filled / "store"), filled / "files")
    assert len(before) > 30
    first = saved(str(filled / "store"), filled / "files", filled / "saved")
    restored(empty_url, filled / "files2", filled / "saved")
    assert await answers(empty_url, filled / "files2") == before
    second = saved(empty_url, filled / "files2", filled / "saved again")
    restored(str(filled / "third"), filled / "files3", filled / "saved again")
    assert await answers(str(filled / "third"), filled / "files3") == before
    digests = [{t.name: (t.rows, t.digest) for t in each.tables if t.rows > 1} for each in (first, second)]
    assert digests[0] == digests[1]
    # Ids go on behind those that are there, in PostgreSQL, too.
    for store in (empty_url, str(filled / "third")):
        with closing(open_registry(store, artifacts=str(filled / "files2"))) as registry:
            assert registry.register("iris", NewVersion("iris/9")).version == "4"
            registry.promote("iris", "4", by="ann", allow_breaking=True)
            registry.create_model("another")
        with closing(open_database(store)) as database:
            tracking = SqlTrackingStore(database, artifact_root="mlflow-artifacts:")
            assert tracking.write(CreateExperiment("new")) == "3"
            tracking.write(CreateRun("3"))
            tracking.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_snapshot_is_of_one_moment(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path / "store") if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))
    with closing(open_database(url)) as database:
        database.migrate()
        tracking = SqlTrackingStore(database, artifact_root="mlflow-artifacts:")
        tracking.write(CreateRun("0"))
        with database.snapshot(tmp_path) as c:
            assert run(c, "SELECT count(*) FROM penstock_runs").scalar() == 1
            tracking.write(CreateRun("0"))
            tracking.write(CreateExperiment("new"))
            assert run(c, "SELECT count(*) FROM penstock_runs").scalar() == 1
            assert run(c, "SELECT count(*) FROM penstock_experiments").scalar() == 1
        tracking.close()


def test_what_is_the_same_is_written_once_and_not_read_again(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, files = str(filled / "store"), str(filled / "files")
    whole = take_backup(store, files, str(filled / "saved"), nothing, nothing)[1]
    monkeypatch.setattr("penstock.hub.backup.files._copied", _not_to_be_called)
    assert whole > take_backup(store, files, str(filled / "saved"), nothing, nothing)[1] == 0
    monkeypatch.undo()
    with LocalTree(filled / "files").new("0/new/artifacts/a") as file:
        file.write(b"12345")
    assert 0 < take_backup(store, files, str(filled / "saved"), nothing, nothing)[1] < 3000
    assert len(list((filled / "saved" / "backups").iterdir())) == 3


def test_each_backup_stays_what_it_was(filled: Path) -> None:
    store = str(filled / "store")
    before = contents(store, filled / "files")
    first = saved(store, filled / "files", filled / "saved")
    with closing(open_registry(store, artifacts=str(filled / "files"))) as registry:
        registry.delete("iris", with_aliases=True)
    saved(store, filled / "files", filled / "saved")
    restored(str(filled / "old"), filled / "files2", filled / "saved", first.name)
    assert contents(filled / "old", filled / "files2") == before
    with pytest.raises(BackupNotFound, match="no backup 'x'"):
        backup_at(str(filled / "saved"), "x")


def test_a_backup_that_is_cut_off_is_none_and_the_next_one_is_whole(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, files, place = str(filled / "store"), filled / "files", filled / "saved"
    cut_off = _cut_off_at_each(monkeypatch, lambda: saved(store, files, place), lambda: _names(place) == [])
    assert cut_off > 2
    restored(str(filled / "new"), filled / "files2", place)
    assert contents(filled / "new", filled / "files2") == contents(store, files)


def test_a_restoration_that_is_cut_off_leaves_an_empty_store_and_goes_on(
    filled_and_saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = filled_and_saved
    store, files, place = str(filled / "store"), filled / "files", filled / "saved"
    new = str(filled / "new")

    def is_empty() -> bool:
        with closing(sqlite3.connect(f"{new}/registry.db")) as database:
            return bool(database.execute("SELECT count(*) FROM penstock_models").fetchone() == (0,))

    assert _cut_off_at_each(monkeypatch, lambda: restored(new, filled / "files2", place), is_empty) > 3
    assert contents(new, filled / "files2") == contents(store, files)
    with pytest.raises(StoreNotEmpty, match="not empty"):
        restored(new, filled / "files3", place)


def test_rows_that_do_not_arrive_as_they_were_are_noticed(
    filled_and_saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = filled_and_saved
    monkeypatch.setattr("penstock.sql.portable._READ_TO_SQLITE", {"double": abs, "bytes": bytes, "time": str})
    with pytest.raises(BackupBroken):
        restored(str(filled / "new"), None, filled / "saved")
    with closing(open_registry(str(filled / "new"))) as registry:
        assert registry.models() == []


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "manifest", "format"])
def test_a_damaged_backup_is_refused(filled_and_saved: Path, damage: str) -> None:
    filled, place = filled_and_saved, filled_and_saved / "saved"
    manifest = backup_at(str(place))
    (path,) = (place / "backups").iterdir()
    part = next(table.parts[0] for table in manifest.tables if table.name == "penstock_params")
    piece = place / "objects" / part[:2] / part
    content = piece.read_bytes()
    if damage == "cut":
        piece.write_bytes(content[:-5])
    elif damage == "changed":
        piece.write_bytes(content[:-1] + b"x")
    elif damage == "missing":
        piece.unlink()
    elif damage == "manifest":
        path.write_text(path.read_text().replace('"rows": 6', '"rows": 5'))
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(BackupBroken, match=r"damaged|format 2"):
        restored(str(filled / "new"), None, place)


def test_files_and_places_that_are_in_the_way_are_refused(filled_and_saved: Path) -> None:
    filled = filled_and_saved
    store, files, place = str(filled / "store"), filled / "files", filled / "saved"
    others = filled / "others"
    with LocalTree(others).new("notes/a") as file:
        file.write(b"x")
    with pytest.raises(StoreNotEmpty, match="'notes' below the artifacts"):
        restored(str(filled / "new"), others, place)
    known = next(path.relative_to(files) for path in files.rglob("*.txt"))
    with LocalTree(filled / "changed").new(str(known)) as file:
        file.write(b"x")
    with pytest.raises(StoreNotEmpty, match="another one"):
        restored(str(filled / "new"), filled / "changed", place)
    for nested in (files / "saved", filled):
        with pytest.raises(ConfigError, match="in each other"):
            saved(store, files, nested)
    with pytest.raises(BackupNotFound):
        restored(str(filled / "new"), None, filled / "nowhere")


def test_versions_without_files_and_files_that_go_are_told(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_registry(str(filled / "store"), artifacts=str(filled / "files"))) as registry:
        registry.register("lost", NewVersion("lost/x", digest="a" * 64))
    gone = next((filled / "files").rglob("*.txt"))
    opened = LocalTree.open

    def removing(tree: LocalTree, path: str) -> Any:
        if str(gone).endswith(path):
            gone.unlink(missing_ok=True)
        return opened(tree, path)

    monkeypatch.setattr(LocalTree, "open", removing)
    said = saved(str(filled / "store"), filled / "files", filled / "saved").warnings
    assert [each for each in said if each.endswith("was removed before it could be saved.")]
    assert "Version 1 of lost has no files in the backup: there are none below the artifacts." in said


def test_a_store_of_an_earlier_release_is_saved_and_restored_to_this_one(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    engine = create_engine(f"sqlite:///{tmp_path / 'old' / 'registry.db'}")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0004")
        connection.execute(
            text("INSERT INTO penstock_models VALUES (1, 'fraud', '2026-01-02 03:04:05', 0, false, '{}')")
        )
    engine.dispose()
    manifest = saved(str(tmp_path / "old"), None, tmp_path / "saved")
    assert (manifest.revision, manifest.files) == ("0004", None)
    with closing(open_database(str(tmp_path / "new"))) as database:
        database.migrate()
        SqlTrackingStore(database, artifact_root="mlflow-artifacts:").close()
    restored(str(tmp_path / "new"), None, tmp_path / "saved")
    with closing(open_registry(str(tmp_path / "new"))) as registry:
        assert registry.model("fraud").updated_at == registry.model("fraud").created_at


def test_a_backup_of_a_later_release_is_refused(filled_and_saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = filled_and_saved
    monkeypatch.setattr("penstock.hub.backup.restoring.HEAD", "0001")
    with pytest.raises(RegistryOutdated, match="newer Penstock"):
        restored(str(filled / "new"), None, filled / "saved")


def test_every_table_is_in_a_backup(filled_and_saved: Path) -> None:
    filled, manifest = filled_and_saved, backup_at(str(filled_and_saved / "saved"))
    with closing(open_database(str(filled / "store"))) as database:
        assert {t.name for t in manifest.tables} == {t.name for t in database.read(portable_tables)}
    empty = {table.name for table in manifest.tables if not table.rows}
    assert empty == {"penstock_garbage", "penstock_imported", "penstock_imports"}


def _cut_off_at_each(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], is_none_yet: Callable[[], bool]
) -> int:
    """Cuts the work off at its first step, then six steps later and so on, until it comes to its end."""
    left = 0

    def new(tree: LocalTree, path: str) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise _CutOffError("cut off")
        return made(tree, path)

    def insert(*arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _CutOffError("cut off")
        inserted(*arguments)

    made, inserted = LocalTree.new, insert_lines
    monkeypatch.setattr(LocalTree, "new", new)
    monkeypatch.setattr("penstock.hub.backup.tables.insert_lines", insert)
    for at in range(1000):
        left = 6 * at
        try:
            work()
        except _CutOffError:
            assert is_none_yet()
        else:
            monkeypatch.undo()
            return at
    pytest.fail("it comes to no end")


class _CutOffError(PenstockError):
    code = "cut_off"


def _names(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "backups").glob("*.json"))


def _not_to_be_called(*_: object) -> None:
    raise AssertionError("a file was read again")
