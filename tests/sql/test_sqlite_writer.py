"""The connection that a server writes to a SQLite file with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from penstock.errors import RegistryUnavailable
from penstock.sql import sqlite
from penstock.sql.dialect import run
from penstock.sql.sqlite import SqliteDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    kept = SqliteDatabase(tmp_path / "registry.db", keep=True)
    kept.write(lambda c: run(c, "CREATE TABLE seen (name TEXT PRIMARY KEY)"))
    yield kept
    kept.close()


def names(database: SqliteDatabase) -> list[str]:
    return [row[0] for row in database.read(lambda c: run(c, "SELECT name FROM seen ORDER BY name"))]


def counter(database: SqliteDatabase) -> int:
    found: int = database.read(lambda c: run(c, "SELECT counter FROM penstock_changes").scalar())
    return found


def test_what_the_driver_and_sqlalchemy_write_is_one_transaction(database: SqliteDatabase) -> None:
    before = counter(database)

    def change(c: Any) -> None:
        run(c, "INSERT INTO seen VALUES ('driver')")
        c.execute(text("INSERT INTO seen VALUES ('sqlalchemy')"))
        with c.begin_nested() as savepoint:
            run(c, "INSERT INTO seen VALUES ('taken back')")
            savepoint.rollback()

    database.write(change)
    assert names(database) == ["driver", "sqlalchemy"]
    assert counter(database) == before + 1


@pytest.mark.parametrize("by_sqlalchemy", [False, True])
def test_what_fails_leaves_nothing_and_the_next_one_is_well(database: SqliteDatabase, by_sqlalchemy: bool) -> None:
    def change(c: Any) -> None:
        run(c, "INSERT INTO seen VALUES ('lost')")
        if by_sqlalchemy:
            c.execute(text("INSERT INTO seen VALUES ('lost, too')"))
        raise KeyError("x")

    with pytest.raises(KeyError):
        database.write(change)
    database.write(lambda c: run(c, "INSERT INTO seen VALUES ('kept')"))
    assert names(database) == ["kept"]


def test_threads_take_turns(database: SqliteDatabase) -> None:
    threads = [
        threading.Thread(target=lambda n=n: database.write(lambda c: run(c, "INSERT INTO seen VALUES (?)", f"{n}")))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 8


def test_a_thread_that_waits_too_long_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    kept = SqliteDatabase(tmp_path / "registry.db", keep=True)
    begun, ends = threading.Event(), threading.Event()

    def change(c: Any) -> None:
        begun.set()
        ends.wait(30)

    kept.write(lambda c: None)
    slow = threading.Thread(target=lambda: kept.write(change))
    slow.start()
    try:
        assert begun.wait(30)
        with pytest.raises(RegistryUnavailable, match="another thread has been writing for too long"):
            kept.write(lambda c: None)
    finally:
        ends.set()
        slow.join()
        kept.close()
