"""Backups that somebody has written to: nothing comes from them but what they are to hold, to where it is to be."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.artifacts.trees import LocalTree
from penstock.assembly.upkeep import backup_at, check_backup_at, restore_backup, take_backup
from penstock.errors import BackupBroken, PenstockError
from penstock.hub.backup.manifest import BackupManifest, SavedFiles, write_manifest
from penstock.hub.backup.objects import BackupObjects
from penstock.hub.backup.tables import pack_lines


def nothing(_: int) -> None:
    """Progress that nobody looks at."""


def restored(place: Path, manifest: BackupManifest | None = None) -> None:
    saved = str(place / "saved")
    files = str(place / "new" / "artifacts")
    restore_backup(str(place / "new"), files, saved, manifest or backup_at(saved), nothing, nothing)


def listing(place: Path, *lines: Any) -> BackupManifest:
    """The backup with another list of files, which bears its digests."""
    tree = LocalTree(place / "saved")
    part = BackupObjects(tree).put(pack_lines([orjson.dumps(line) for line in lines]))
    changed = replace(backup_at(str(place / "saved")), name="9", files=SavedFiles(len(lines), 4, (part,)))
    write_manifest(tree, changed)
    return changed


@pytest.fixture(scope="module")
def backup(saved_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a small backup in `saved`, of tables without rows that matter here."""
    place = tmp_path_factory.mktemp("small")
    files = place / "files"
    (files / "0").mkdir(parents=True)
    (files / "0" / "f").write_bytes(b"EVIL")
    take_backup(str(saved_template / "store"), str(files), str(place / "saved"), nothing, nothing)
    return place


@pytest.mark.parametrize(
    "path", ["../../escaped", "../registry.db", "a/../../b", "/escaped", "a//b", ".", "", "a\0b", "a/", 5, None]
)
def test_a_path_that_leads_out_is_refused_before_anything_is_written(path: Any, backup: Path) -> None:
    digest = BackupObjects(LocalTree(backup / "saved")).put(b"EVIL")
    manifest = listing(backup, ("0/f", 4, digest, ""), (path, 4, digest, ""))
    with pytest.raises(BackupBroken, match="is no path of a file") as error:
        restored(backup, manifest)
    assert f"lists {str(path)!a}," in str(error.value)
    assert not (backup / "new" / "artifacts").exists()
    assert {each.name for each in backup.iterdir()} <= {"files", "saved", "new"}


@pytest.mark.parametrize("line", [("0/f", "4", "a" * 64, ""), ("0/f", 4, "../x", ""), ("0/f", 4, 5, ""), [], {"a": 1}])
def test_a_line_that_is_no_file_is_refused(line: Any, backup: Path) -> None:
    with pytest.raises(BackupBroken, match="damaged"):
        restored(backup, listing(backup, line))


def test_columns_that_are_none_of_the_tables_are_refused(backup: Path) -> None:
    known = backup_at(str(backup / "saved"), sorted(path.stem for path in (backup / "saved/backups").iterdir())[0])
    first = replace(known.tables[0], columns=(*known.tables[0].columns, ('id") --', "text")))
    with pytest.raises(BackupBroken, match="columns"):
        restored(backup, replace(known, tables=(first, *known.tables[1:]), files=None))


@pytest.mark.parametrize("path", ["..", "a/../b", "./a", "a//b", "/a", "a/", "a\0b", "../x"])
def test_no_tree_opens_what_is_no_name(path: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"kept")
    (tmp_path / "root" / "a").mkdir(parents=True)
    tree = LocalTree(tmp_path / "root")

    def write() -> None:
        with tree.new(path) as file:
            file.write(b"x")

    for call in (write, lambda: tree.open(path), lambda: tree.remove(path), lambda: tree.entries(path)):
        with pytest.raises(PenstockError, match="Invalid path"):
            call()
    with suppress(PenstockError):
        tree.prune(path)
    assert (tmp_path / "x").read_bytes() == b"kept"
    assert [entry.name for entry in tree.entries("")] == ["a"]


def _changed(place: Path, size: int) -> None:
    """A piece of that size, with another letter in it."""
    (piece,) = (path for path in (place / "saved/objects").glob("*/*") if path.stat().st_size == size)
    piece.write_bytes(b"x" * size)


def test_a_piece_that_changed_on_disk_is_written_again(saved_template: Path, tmp_path: Path) -> None:
    files, saved = tmp_path / "files", str(tmp_path / "saved")
    files.mkdir()
    large = os.urandom(300_000)
    (files / "small").write_bytes(b"kept")
    (files / "large").write_bytes(large)

    def take(*, verify: bool = False) -> int:
        store = str(saved_template / "store")
        return take_backup(store, str(files), saved, nothing, nothing, verify=verify)[1]

    def broken() -> str:
        try:
            return f"{check_backup_at(saved, backup_at(saved), nothing)} pieces"
        except BackupBroken as error:
            return str(error)

    take()
    assert broken().endswith("pieces")
    _changed(tmp_path, 4)
    assert "1 of its" in broken()
    assert "'small'" in broken()
    assert take() == 4
    assert broken().endswith("pieces")
    _changed(tmp_path, len(large))
    assert "'large'" in broken()
    assert take(verify=True) == len(large)
    assert broken().endswith("pieces")


def test_of_large_pieces_a_lot_says_which_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, content = LocalTree(tmp_path / "saved"), b"a" * 300_000
    digest = BackupObjects(tree).put(content)
    _changed(tmp_path, len(content))
    for letter in "0123456789abcdef":
        monkeypatch.setattr("secrets.choice", lambda _, letter=letter: letter)
        assert BackupObjects(tree).has(digest, len(content)) is not digest.endswith(letter)
