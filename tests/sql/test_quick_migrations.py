"""What tests make their empty databases with is what the migrations make."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, text

from penstock.sql import database as sql_database
from penstock.sql import sqlite
from penstock.sql.migrations import upgrade
from penstock.sql.postgresql import PostgresDatabase
from penstock.tracking.opening import open_database


def content(c: Connection) -> tuple[list[str], dict[str, list[Any]]]:
    """Tables, indexes and columns as they were made, and all rows."""
    if c.dialect.name == "sqlite":
        made = [str(row) for row in c.execute(text("SELECT type, name, sql FROM sqlite_master ORDER BY name"))]
    else:
        columns = "SELECT table_name, column_name, data_type, is_nullable, column_default IS NULL FROM "
        columns += "information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, ordinal_position"
        indexes = "SELECT tablename, replace(indexdef, current_schema(), '') FROM pg_indexes "
        indexes += "WHERE schemaname = current_schema() ORDER BY 1, 2"
        made = [str(row) for query in (columns, indexes) for row in c.execute(text(query))]
    found = MetaData()
    found.reflect(c)
    rows = {name: [tuple(row) for row in c.execute(table.select())] for name, table in sorted(found.tables.items())}
    return made, rows


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_both_ways_make_the_same(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(name: str) -> tuple[list[str], dict[str, list[Any]]]:
        url = str(tmp_path / name) if kind == "sqlite" else request.getfixturevalue("postgres_url")
        with closing(open_database(url)) as database:
            database.migrate()
            found = database.read(content)
            if isinstance(database, PostgresDatabase):  # for the next
                dropped = "".join(f"DROP TABLE {name} CASCADE;" for name in found[1])
                database.write(lambda c: c.exec_driver_sql(dropped + "CREATE TABLE penstock_changes (counter int)"))
                with database._engine.begin() as c:
                    c.exec_driver_sql("DROP TABLE penstock_changes")
        return found

    made("first")
    quick = made("quick")
    assert quick[1]["penstock_revision"]
    for module in (sqlite, sql_database):
        monkeypatch.setattr(module, "upgrade", upgrade)
    assert made("real") == quick
