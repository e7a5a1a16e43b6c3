"""What only PostgreSQL has: privileges, and migrations that wait to be asked for. The contract tests cover the rest."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from penstock.errors import RegistryOutdated, RegistryReadOnly
from penstock.registry import NewVersion, open_registry
from penstock.registry.tables import REVISION_TABLE, metadata


def test_it_is_migrated_only_when_asked(postgres_url: str) -> None:
    with closing(open_registry(postgres_url, artifacts="s3://models")) as registry:
        for use in (registry.models, lambda: registry.register("fraud", NewVersion("x"))):
            with pytest.raises(RegistryOutdated) as caught:
                use()
            assert "penstock registry migrate" in caught.value.hint
        assert "from no tables to revision" in registry.migrate()
        assert "up to date" in registry.migrate()
        assert registry.register("fraud", NewVersion("fraud/1")).source == "s3://models/fraud/1"


def test_two_may_migrate_at_once(postgres_url: str) -> None:
    said: list[str] = []

    def work() -> None:
        with closing(open_registry(postgres_url, artifacts="x")) as registry:
            said.append(registry.migrate())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("up to date" in sentence for sentence in said) == 2


def test_the_migrated_schema_is_the_one_in_tables(postgres_url: str) -> None:
    with closing(open_registry(postgres_url, artifacts="x")) as registry:
        registry.migrate()
    engine = create_engine(make_url(postgres_url), poolclass=NullPool)
    with engine.connect() as connection:
        options = {"version_table": REVISION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_select_is_all_a_reader_needs(postgres_url: str) -> None:
    with closing(open_registry(postgres_url, artifacts="x")) as registry:
        registry.migrate()
        registry.register("fraud", NewVersion("x"))
        registry.promote("fraud", "1", by="ann")
    role = f"reader_{uuid.uuid4().hex}"
    url = make_url(postgres_url)
    schema = str(url.query["options"]).partition("=")[2]
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {role}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"))
    try:
        reader_url = url.update_query_dict({"options": f"-csearch_path={schema} -crole={role}"})
        with closing(open_registry(reader_url.render_as_string(hide_password=False), artifacts="x")) as reader:
            assert reader.resolve("fraud").version == "1"
            assert len(reader.history("fraud")) == len(reader.models()) == 1
            with pytest.raises(RegistryReadOnly, match="permission denied"):
                reader.register("fraud", NewVersion("x"))
            with pytest.raises(RegistryReadOnly, match="permission denied"):
                reader.delete("fraud", "1")
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
