"""The revisions: one line of them, ending where `tables` says, in exactly the tables that `tables` describes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from penstock.errors import RegistryOutdated
from penstock.registry import NewVersion, open_registry
from penstock.sql.migrations import alembic_config, upgrade
from penstock.sql.tables import HEAD, REVISION_TABLE, metadata


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}", poolclass=NullPool)
    yield engine
    engine.dispose()


def test_head_is_the_last_revision() -> None:
    script = ScriptDirectory.from_config(alembic_config())
    assert script.get_heads() == [HEAD]
    assert [r.revision for r in script.walk_revisions()] == sorted(
        (r.revision for r in script.walk_revisions()), reverse=True
    )


def test_the_migrated_schema_is_the_one_in_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection)
        options = {"version_table": REVISION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_constraints_are_those_in_tables(engine: Engine, tmp_path: Path) -> None:
    """compare_metadata does not look at primary keys."""
    with engine.begin() as connection:
        upgrade(connection)
        migrated = inspect(connection)
        for table in metadata.sorted_tables:
            keys = migrated.get_pk_constraint(table.name)
            assert keys["name"] == table.primary_key.name
            assert keys["constrained_columns"] == [c.name for c in table.primary_key.columns]


def test_migrating_is_silent_and_leaves_logging_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level
    with closing(open_registry(str(tmp_path / "registry"))) as registry:
        registry.migrate()
    assert (logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level) == before
    assert capfd.readouterr() == ("", "")


def test_migrating_says_what_it_did(tmp_path: Path) -> None:
    with closing(open_registry(str(tmp_path))) as registry:
        assert registry.migrate() == f"Created a new registry at {tmp_path} (revision {HEAD})."
        assert registry.migrate() == f"The registry at {tmp_path} is up to date (revision {HEAD})."


def test_a_failed_migration_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(connection: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("penstock.sql.sqlite.upgrade", broken)
    with closing(open_registry(str(tmp_path / "registry"))) as registry, pytest.raises(RuntimeError):
        registry.register("fraud", NewVersion("x"))
    assert list((tmp_path / "registry").iterdir()) == []


def test_versions_of_an_older_release_come_along(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        connection.execute(
            text("INSERT INTO penstock_models VALUES (1, 'fraud', '2026-01-02 03:04:05', 1, false, '{}')")
        )
        connection.execute(
            text(
                "INSERT INTO penstock_versions (model_id, number, source, flavors, size_bytes, description, run_id, "
                "tags, created_at) VALUES (1, 1, 'x', '[]', 0, '', '', '{}', '2026-01-02 03:04:05')"
            )
        )
    with closing(open_registry(f"sqlite:///{path}", artifacts="x")) as registry:
        with pytest.raises(RegistryOutdated, match="0001"):
            registry.version("fraud", "1")
        assert registry.migrate().endswith(f"was migrated from 0001 to revision {HEAD}.")
        assert registry.version("fraud", "1").registered_by == ""
        assert registry.register("fraud", NewVersion("x", registered_by="ann")).version == "2"
