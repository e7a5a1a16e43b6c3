"""Backups and collections where files are in an object store, and where a role may only read."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from hub.backup.conftest import fill
from penstock.artifacts.opening import open_tree
from penstock.assembly.upkeep import backup_at, restore_backup, take_backup
from penstock.hub.gc.collector import StoreCollector
from penstock.hub.gc.plan import GcRequest
from penstock.tracking.opening import open_database
from support.postgres import reader_of

pytestmark = pytest.mark.services

DAY = 86_400


def nothing(_: int) -> None:
    """Progress that nobody looks at."""


def test_saving_takes_select_alone(postgres_url: str, tmp_path: Path) -> None:
    with closing(open_database(postgres_url)) as database:
        database.migrate()
    fill(postgres_url, tmp_path / "files")
    with reader_of(postgres_url) as url:
        manifest, _ = take_backup(url, str(tmp_path / "files"), str(tmp_path / "saved"), nothing, nothing)
    assert manifest.rows > 100


def test_an_object_store_holds_files_and_backups(bucket: str, tmp_path: Path) -> None:
    store, files, place = str(tmp_path / "store"), str(tmp_path / "files"), f"{bucket}/saved"
    fill(store, tmp_path / "files")
    manifest, _ = take_backup(store, files, place, nothing, nothing)
    assert take_backup(store, files, place, nothing, nothing)[1] == 0
    new, there = str(tmp_path / "new"), f"{bucket}/files"
    restore_backup(new, there, place, backup_at(place), nothing, nothing)
    again, _ = take_backup(new, there, str(tmp_path / "saved"), nothing, nothing)
    assert manifest.files is not None
    assert again.files is not None
    assert (again.files.files, again.files.bytes) == (manifest.files.files, manifest.files.bytes)


def test_garbage_is_collected_from_an_object_store(bucket: str, tmp_path: Path) -> None:
    fill(str(tmp_path / "store"), tmp_path / "files")
    lone, tree = f"lone/{'a' * 64}", open_tree(bucket)
    for name in (f"{lone}/MLmodel", "other/notes"):
        with tree.new(name) as file:
            file.write(b"x")
    with closing(open_database(str(tmp_path / "store"))) as database:
        now = StoreCollector(database, tree, bucket, time.time())
        request = GcRequest((int(time.time()) + 2 * DAY) * 1000)
        assert now.plan(request).packages == []  # it was written just now
        tomorrow = StoreCollector(database, tree, bucket, time.time() + 1.5 * DAY)
        plan = tomorrow.plan(request)
        assert plan.packages == [lone]
        tomorrow.collect(plan, request)
        assert tomorrow.plan(request).is_empty
    assert tree.entries(lone) == []
    assert [entry.name for entry in tree.entries("other")] == ["notes"]
