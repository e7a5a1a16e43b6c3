"""What only a registry in SQL has: processes, files, permissions, transactions, other people's tables."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.cli.remedies import hint_of
from penstock.errors import RegistryOutdated, RegistryReadOnly, RegistryUnavailable, VersionInUse
from penstock.registry import NewVersion, Registry, open_registry

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """An embedded registry with two versions of one model, the first in production."""
    path = tmp_path / "registry"
    with closing(open_registry(str(path))) as registry:
        registry.register("fraud", NewVersion("fraud/1"))
        registry.register("fraud", NewVersion("fraud/2"))
        registry.promote("fraud", "1", by="ann")
    yield path
    if path.exists():
        path.chmod(0o755)


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path / "registry.db", isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def run(code: str, *arguments: object, ordinary: bool = False) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own; `ordinary` takes away root's right to pass over file permissions."""

    def drop() -> None:
        libc = ctypes.CDLL(None)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=drop if ordinary and os.geteuid() == 0 else None,
    )


READ = """
import sys
from penstock.registry import open_registry
print(open_registry(sys.argv[1], read_only=True).resolve("fraud").version)
"""

WRITE = """
import sys
from penstock.errors import PenstockError
from penstock.registry import NewVersion, open_registry
try:
    open_registry(sys.argv[1]).register("fraud", NewVersion("x"))
except PenstockError as error:
    print(type(error).__name__, error.message)
"""


class TestConcurrency:
    def test_processes_never_share_a_number_from_the_very_first_write_on(self, tmp_path: Path) -> None:
        code = """
import sys
from penstock.registry import NewVersion, open_registry
registry = open_registry(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(8):
    print(registry.register("fraud", NewVersion("x")).version)
"""
        command = [sys.executable, "-c", code, str(tmp_path / "registry")]
        running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        numbers: list[int] = []
        for process in running:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            numbers += map(int, out.split())

        assert sorted(numbers) == list(range(1, 25))
        assert [p.name for p in (tmp_path / "registry").iterdir() if not p.name.startswith("registry.db")] == []

    def test_threads_create_one_registry_together(self, tmp_path: Path) -> None:
        registry = open_registry(str(tmp_path / "registry"))
        barrier, numbers = threading.Barrier(6), []

        def work() -> None:
            barrier.wait()
            numbers.append(int(registry.register("fraud", NewVersion("x")).version))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(numbers) == [1, 2, 3, 4, 5, 6]

    def test_a_reader_does_not_wait_for_a_writer(self, directory: Path) -> None:
        with closing(sqlite3.connect(directory / "registry.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE penstock_models SET last_number = 77")
            with closing(open_registry(str(directory), read_only=True)) as reader:
                assert reader.resolve("fraud").version == "1"
            writer.execute("ROLLBACK")

    def test_a_writer_that_waits_too_long_says_so(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("penstock.sql.sqlite.BUSY_SECONDS", 0.01)
        with closing(sqlite3.connect(directory / "registry.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(RegistryUnavailable, match="locked by another process"):
                open_registry(str(directory)).set_tag("fraud", "a", "b")

    def test_an_alias_that_came_meanwhile_keeps_its_version(self, directory: Path) -> None:
        registry = open_registry(str(directory))
        registry.promote("fraud", "2", by="ben")
        with pytest.raises(VersionInUse):
            registry._delete("fraud", "2", with_aliases=False, at=registry._now(), by="")
        assert registry.resolve("fraud").version == "2"


class TestFile:
    def test_the_file_is_in_wal_mode_with_foreign_keys(self, directory: Path) -> None:
        assert query(directory, "PRAGMA journal_mode") == [("wal",)]
        with closing(sqlite3.connect(directory / "registry.db")) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute("DELETE FROM penstock_versions WHERE number = 1")

    def test_after_a_write_all_is_in_one_file(self, directory: Path) -> None:
        assert [p.name for p in directory.iterdir()] == ["registry.db"]

    def test_the_directory_can_be_moved(self, directory: Path, tmp_path: Path) -> None:
        shutil.move(directory, tmp_path / "elsewhere")
        moved = open_registry(str(tmp_path / "elsewhere"))
        assert moved.resolve("fraud").source == str(tmp_path / "elsewhere" / "artifacts" / "fraud" / "1")
        assert query(tmp_path / "elsewhere", "SELECT DISTINCT source FROM penstock_versions ORDER BY 1") == [
            ("fraud/1",),
            ("fraud/2",),
        ]

    def test_a_path_may_have_odd_characters(self, tmp_path: Path) -> None:
        odd = tmp_path / "a b?c#d%20é"
        with closing(open_registry(str(odd))) as registry:
            registry.register("fraud", NewVersion("x"))
            assert registry.version("fraud", "1").source == str(odd / "artifacts" / "x")
        assert (odd / "registry.db").exists()

    def test_a_failed_write_leaves_nothing(self, directory: Path) -> None:
        registry = open_registry(str(directory))
        with pytest.raises(TypeError):
            registry.register("fraud", NewVersion("x", tags={"a": object()}))  # type: ignore[dict-item]
        assert registry.register("fraud", NewVersion("x")).version == "3"

    @pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
    def test_a_damaged_file_is_named(self, directory: Path, content: bytes | None) -> None:
        path = directory / "registry.db"
        whole = path.read_bytes()
        path.write_bytes(content if content is not None else whole[:4096] + b"\xff" * (len(whole) - 4096))
        registry = open_registry(str(directory))
        with pytest.raises(RegistryUnavailable, match="damaged") as caught:
            registry.models()
        assert str(directory) in str(caught.value)
        with pytest.raises(RegistryUnavailable, match="damaged"):
            registry.register("fraud", NewVersion("x"))

    def test_a_directory_where_the_file_should_be_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "registry.db").mkdir()
        with pytest.raises(RegistryUnavailable):
            open_registry(str(tmp_path)).models()


class TestReadingOnly:
    def test_writes_are_refused(self, directory: Path) -> None:
        registry = open_registry(str(directory), read_only=True)
        for write in (
            lambda: registry.register("fraud", NewVersion("x")),
            lambda: registry.promote("fraud", "2", by="ann"),
            lambda: registry.set_tag("fraud", "a", "b"),
            lambda: registry.delete("fraud", "2"),
            lambda: registry.migrate(),
        ):
            with pytest.raises(RegistryReadOnly, match="for reading only"):
                write()

    def test_reading_changes_no_byte(self, directory: Path) -> None:
        path = directory / "registry.db"
        before = path.read_bytes(), path.stat().st_mtime_ns
        registry = open_registry(str(directory))
        registry.models(), registry.versions("fraud"), registry.history("fraud")
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before

    def test_a_registry_in_a_read_only_directory_is_read_and_not_written(self, directory: Path) -> None:
        directory.chmod(0o555)

        assert run(READ, directory, ordinary=True).stdout == "1\n"
        written = run(WRITE, directory, ordinary=True).stdout
        assert written.startswith("RegistryReadOnly")
        assert str(directory) in written
        assert [p.name for p in directory.iterdir()] == ["registry.db"]

    def test_a_read_only_directory_that_a_reader_used_before_is_read(self, directory: Path) -> None:
        assert open_registry(str(directory)).models()
        directory.chmod(0o555)
        assert run(READ, directory, ordinary=True).stdout == "1\n"

    def test_a_read_only_directory_is_read_while_its_owner_writes(self, directory: Path) -> None:
        with closing(sqlite3.connect(directory / "registry.db", isolation_level=None)) as writer:
            writer.execute("UPDATE penstock_aliases SET number = 2")
            directory.chmod(0o555)
            assert run(READ, directory, ordinary=True).stdout == "2\n"
            directory.chmod(0o755)

    def test_a_read_only_file_is_read_and_not_written(self, directory: Path) -> None:
        (directory / "registry.db").chmod(0o444)
        assert run(READ, directory, ordinary=True).stdout == "1\n"
        assert run(WRITE, directory, ordinary=True).stdout.startswith("RegistryReadOnly")

    def test_a_registry_is_not_created_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        assert run(WRITE, tmp_path / "new", ordinary=True).stdout.startswith("RegistryReadOnly")
        tmp_path.chmod(0o755)

    def test_a_file_changed_under_a_frozen_reader_is_read_again(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from penstock.sql.sqlite import SqliteDatabase

        states = iter([(1, 1, 1), (1, 1, 2)])
        monkeypatch.setattr(SqliteDatabase, "_frozen", lambda self: next(states))
        database = SqliteDatabase(directory / "registry.db")
        seen: list[object] = []
        database.read(seen.append)
        assert len(seen) == 2


class TestRevisions:
    def test_missing_tables_are_an_outdated_registry(self, directory: Path) -> None:
        query(directory, "DROP TABLE penstock_revision")
        with pytest.raises(RegistryOutdated) as caught:
            open_registry(str(directory)).models()
        assert "penstock registry migrate" in hint_of(caught.value)

    def test_a_missing_column_is_an_outdated_registry(self, directory: Path) -> None:
        query(directory, "ALTER TABLE penstock_models DROP COLUMN tags")
        with pytest.raises(RegistryOutdated):
            open_registry(str(directory)).models()

    def test_an_older_revision_names_the_migration(self, directory: Path) -> None:
        query(directory, "UPDATE penstock_revision SET version_num = '0000'")
        with pytest.raises(RegistryOutdated, match="revision 0000") as caught:
            open_registry(str(directory)).models()
        assert "penstock registry migrate" in hint_of(caught.value)

    def test_a_newer_revision_wants_a_newer_penstock(self, directory: Path) -> None:
        query(directory, "UPDATE penstock_revision SET version_num = '9999'")
        registry = open_registry(str(directory))
        for use in (registry.models, lambda: registry.register("fraud", NewVersion("x")), registry.migrate):
            with pytest.raises(RegistryOutdated, match="newer Penstock"):
                use()

    def test_an_empty_file_is_outdated_until_the_first_write(self, tmp_path: Path) -> None:
        (tmp_path / "registry.db").touch()
        registry = open_registry(str(tmp_path))
        with pytest.raises(RegistryOutdated):
            registry.models()
        registry.register("fraud", NewVersion("x"))
        assert len(registry.models()) == 1


def test_a_registry_describes_itself(directory: Path) -> None:
    registry: Registry = open_registry(str(directory), read_only=True)
    assert repr(registry) == f"<SqlRegistry <SqliteDatabase {directory} read-only>>"
